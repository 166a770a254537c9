"""Where the peptides of a background come from: the bundle, or windows of the proteins of a FASTA file."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hpc.errors import CorruptError, InputError
from snw_dist.bundle.background import PERCENT, BackgroundEntry, drawn, standard_background
from snw_dist.scoring.background import LONGEST_DRAWN, drawn_background, proteome_background

ENTRY = BackgroundEntry(**standard_background())


def proteome(path: Path, sequences: list[str]) -> Path:
    path.write_text("".join(f">p{number}\n{one}\n" for number, one in enumerate(sequences)))
    return path


def test_those_of_the_bundle() -> None:
    found = drawn_background(ENTRY, "b")
    assert found.peptides(8) == drawn(PERCENT, ENTRY.seed, ENTRY.size, 8)
    assert len(found.peptides(LONGEST_DRAWN)[0]) == LONGEST_DRAWN
    assert found.peptides(LONGEST_DRAWN + 1) == []
    assert "Swiss-Prot release 49.0" in found.what


def test_a_bundle_whose_peptides_would_be_others_is_refused() -> None:
    with pytest.raises(CorruptError, match="draws other background peptides"):
        drawn_background(replace(ENTRY, sha256="0" * 64), "b")


def test_every_window_is_drawn_equally_often(tmp_path: Path) -> None:
    """Also the last ones of a protein, and none over the end of one, or with a letter that is no residue."""
    proteins = ["".join(np.random.default_rng(seed).choice(list(PERCENT), 400)) for seed in range(50)]
    text = [one[:200] + "X" + one[200:] + "*" for one in proteins]
    peptides = proteome_background(proteome(tmp_path / "p.fasta", text), ENTRY).peptides(9)
    assert len(peptides) == ENTRY.size
    halves = [half for one in proteins for half in (one[:200], one[200:])]
    windows = {half[start : start + 9] for half in halves for start in range(192)}
    counts = Counter(peptides)
    assert set(counts) <= windows
    expected = ENTRY.size / len(windows)
    assert max(counts.values()) <= 8  # of Poisson numbers with this mean, 1 in 10 million is larger
    ends = sum(counts[half[-9:]] + counts[half[:9]] for half in halves)
    assert ends == pytest.approx(200 * expected, abs=5 * (200 * expected) ** 0.5)


def test_few_windows_are_all_taken_and_too_few_are_none(tmp_path: Path) -> None:
    protein = "".join(np.random.default_rng(0).choice(list(PERCENT), 1100))
    found = proteome_background(proteome(tmp_path / "p.fasta", [protein.lower()]), ENTRY)
    assert found.peptides(9) == [protein[start : start + 9] for start in range(1092)]
    assert len(found.peptides(101)) == 1000
    assert found.peptides(102) == []


def test_the_file_decides_which_background_it_is(tmp_path: Path) -> None:
    first = proteome_background(proteome(tmp_path / "p.fasta", ["MKV"]), ENTRY).sha256
    assert first == proteome_background(proteome(tmp_path / "q.fasta", ["MKV"]), ENTRY).sha256
    assert first != proteome_background(proteome(tmp_path / "p.fasta", ["MKL"]), ENTRY).sha256
    assert first != proteome_background(tmp_path / "q.fasta", replace(ENTRY, seed=2)).sha256


def test_what_is_left_out_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("hpc.told")
    log.addHandler(caplog.handler)
    try:
        with caplog.at_level(logging.INFO, "hpc.told"):
            proteome_background(proteome(tmp_path / "p.fasta", ["MKVU", "ACGT" * 50]), ENTRY)
    finally:
        log.removeHandler(caplog.handler)
    assert any("1 characters are none of the 20" in line for line in caplog.messages)
    assert any("nucleotides" in line for line in caplog.messages)


def test_what_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        proteome_background(tmp_path / "none.fasta", ENTRY)
    with pytest.raises(InputError, match="no record has a residue"):
        proteome_background(proteome(tmp_path / "p.fasta", ["XX", "123"]), ENTRY)
