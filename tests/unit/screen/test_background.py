"""The percentiles of a screen are those of `predict`, bit for bit, by any number of tasks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from hpc.errors import InputError
from snw_dist.scoring.percentile import background_of
from snw_dist.scoring.scorer import PairScorer
from snw_dist.screen import background, run
from snw_dist.screen.asked import Asked, prepared_screen
from snw_dist.screen.library import library_of
from tests.kit.screen_tools import hits_of, result_of, screened, sequences_of
from tests.kit.split_tools import random_sequences


@pytest.fixture
def compared(asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Asked:
    """With 1,003 windows of eight residues of one protein, and 1,002 of nine; but too few of other lengths."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    [protein] = random_sequences(1, 1010, 3)
    (tmp_path / "proteins.fasta").write_text(f">p\n{protein}\n")
    return replace(asked, top=43, percentile=tmp_path / "proteins.fasta", block_residues=10_000)


def test_they_are_those_of_predict_and_say_of_what(compared: Asked) -> None:
    folder = screened(compared)
    found, facts = (
        hits_of(folder),
        pq.read_schema(folder / "hits" / "part-00000.parquet").field("snw_percentile").metadata,
    )
    assert b"windows of the proteins of proteins.fasta" in facts[b"meaning"]
    assert facts[b"unit"] == b"%"
    scorer = PairScorer.load(compared.bundle, device="cpu")
    table = found[["ligand_sequence", "receptor_sequence"]]
    expected = scorer.score_table(
        table, ligand="ligand_sequence", receptor="receptor_sequence", percentile=compared.percentile
    )
    np.testing.assert_array_equal(found["snw_percentile"], expected["snw_percentile"])
    assert found["snw_percentile"].notna().sum() == 6 * 41
    assert set(found["ligand_sequence"][found["snw_percentile"].isna()].str.len()) == {70}
    of_receptor = found.dropna().groupby("receptor")["snw_percentile"]
    assert (of_receptor.first() < of_receptor.last()).all(), "0 is the best"


def test_any_number_of_tasks_gives_the_same_bytes(compared: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = result_of(screened(compared))
    monkeypatch.setattr(background, "_AT_ONCE", 2)
    monkeypatch.setattr(background, "GROUP", 4)
    assert result_of(screened(replace(compared, to=compared.to.with_name("array")), tasks=3)) == alone


def test_what_is_damaged_is_made_again(compared: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    """The scores of the peptides, and how many lists have a hit."""
    alone, other = result_of(screened(compared)), replace(compared, to=compared.to.with_name("damaged"))

    def killed(*arguments: object) -> None:
        raise RuntimeError

    with monkeypatch.context() as patched:
        patched.setattr(run, "finish", killed)
        with pytest.raises(RuntimeError):
            screened(other)
    files = [*other.to.rglob("background/*.safetensors"), *other.to.rglob("counts.safetensors")]
    assert len(files) == 3
    for place, file in enumerate(files):
        data = bytearray(file.read_bytes())
        data[-1 - place] ^= 4
        file.write_bytes(data)
    for record in other.to.rglob("shard_*.json"):
        record.unlink()
    assert result_of(screened(other)) == alone


def test_what_has_no_percentile_and_what_it_costs_is_told(compared: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    cost: list[str] = []
    monkeypatch.setattr(background, "tell", told.append)
    monkeypatch.setattr("snw_dist.screen.asked.tell", cost.append)
    prepared_screen(compared)
    residues = [sum(map(len, set(sequences_of(file).values()))) for file in (compared.ligands, compared.receptors)]
    assert f"{sum(residues) + 1003 * 8 + 1002 * 9:,} residues to embed" in " ".join(cost)
    assert f"of 2 lengths; {(1003 + 1002) * 6:,} pairs more to score" in told[0]
    assert told[1].startswith("3 ligands without a percentile: proteins.fasta has fewer than 1,000 windows")


def test_too_many_are_refused(compared: Asked) -> None:
    scorer = PairScorer.load(compared.bundle, device="cpu")
    peptides = background_of(scorer.bundle, compared.percentile)
    assert peptides is not None
    with pytest.raises(InputError, match=r"262,145 receptors .* of 1 length need 262,145 backgrounds"):
        background.compared_with(peptides, library_of({"a": "SIINFEKL"}), 262_145)
    with pytest.raises(InputError, match=r"--background none\.fasta: no such file"):
        prepared_screen(replace(compared, percentile=Path("none.fasta")))
