"""From odd but honest files to the settings, and on to prepared data."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpc.errors import InputError
from snw_dist.starting.settings import first_settings
from tests.kit.own_files import NUMBERS, PAIRS, PEPTIDES, PROTEINS, fasta, sides, table
from tests.kit.started import guessed


def test_other_names_tabs_gzip_and_affinities(tmp_path: Path) -> None:
    sides(tmp_path)
    signs = [">" if n % 9 == 0 else "" for n in range(len(PAIRS))]
    rows = [
        (n, receptor, ligand, f"{sign}{10 ** (4 * value):.4g}")
        for n, ((ligand, receptor), value, sign) in enumerate(zip(PAIRS, NUMBERS, signs, strict=True))
    ]
    table(tmp_path / "measured.tsv", ["No", "MHC allele", "Epitope name", "IC50 [nM]"], rows, "\t")
    found = guessed(tmp_path)
    assert (found["ligands"], found["receptors"], found["pairs"]) == ("b.fa.gz", "a.fa", "measured.tsv")
    assert (found["columns.ligand"], found["columns.receptor"]) == ("Epitope name", "MHC allele")
    assert (found["scores.term"], found["scores.transform"]) == ("IC50 [nM]", "log_affinity")
    assert found["positive_from"] == 0.426
    assert [found[f"split.{key}"] for key in ("method", "val_fraction", "test_fraction")] == ["ligand_cold", 0.2, 0.2]
    assert found["train.warmup_steps"] == 2  # of 20 epochs of one step
    assert found["encoder.weights"] == "biohub/ESMC-300M"
    otherwise = first_settings(tmp_path, tmp_path, {}, {"data.scores.transform": "rank"}, "first")
    assert not {"data.positive_from"} & {guess.key for guess in otherwise}


def test_words_semicolons_a_title_and_one_file_of_both_sides(tmp_path: Path) -> None:
    fasta(tmp_path / "all.fasta", PROTEINS | PEPTIDES)
    rows = [(r, p, "bound" if value > 0.6 else "unbound", 1999) for (p, r), value in zip(PAIRS, NUMBERS, strict=True)]
    table(tmp_path / "t.csv", ["a", "b", "outcome", "year"], rows, ";")
    (tmp_path / "t.csv").write_text("Our measurements\n\n" + (tmp_path / "t.csv").read_text())
    found = guessed(tmp_path)
    assert found["ligands"] == found["receptors"] == "all.fasta"
    assert (found["columns.ligand"], found["columns.receptor"], found["columns.label"]) == ("b", "a", "outcome")
    assert "symmetric" not in found


def test_energies_of_decoys_and_a_split_that_cannot_be_used(tmp_path: Path) -> None:
    sides(tmp_path)
    rows = [
        (p, r, 2 - 10 * value - n, n + value, "test" if value > 0.5 else "train")
        for (p, r), value in zip(PAIRS, NUMBERS, strict=True)
        for n in range(2)
    ]
    table(tmp_path / "dock.csv", ["pep", "rec", "dG_kcal/mol", "rmsd", "part"], rows)
    found = guessed(tmp_path)
    assert (found["scores.term"], found["scores.transform"]) == ("dG_kcal/mol", "minmax")
    assert found["scores.aggregate"] == "min"
    assert found["split.method"] == "ligand_cold"
    reasons = {guess.key: guess.why for guess in first_settings(tmp_path, tmp_path, {}, {}, "first")}
    assert "'part' has test, train" in reasons["data.split.method"].replace('"', "'")


def test_a_score_from_0_to_1_beside_words_and_a_split(tmp_path: Path) -> None:
    sides(tmp_path)
    rows = [
        (p, r, value, "yes" if value > 0.5 else "no", ("train", "val", "test")[n % 3])
        for n, ((p, r), value) in enumerate(zip(PAIRS, NUMBERS, strict=True))
    ]
    table(tmp_path / "t.csv", ["pep", "rec", "binding score", "binds", "fold"], rows)
    found = guessed(tmp_path)
    assert (found["columns.label"], found["columns.binary"]) == ("binding score", "binds")
    assert (found["split.method"], found["columns.split"]) == ("column", "fold")


def test_pairs_of_proteins_have_no_sides(tmp_path: Path) -> None:
    fasta(tmp_path / "proteins.fasta", PROTEINS | PEPTIDES)
    names = list(PROTEINS | PEPTIDES)
    rows = [(one, names[n - 5], n % 2) for n, one in enumerate(names)]
    table(tmp_path / "ppi.tsv", ["a", "b", "interacts"], rows, "\t")
    found = guessed(tmp_path)
    assert found["symmetric"] is True
    assert (found["model.name"], found["split.method"]) == ("siamese", "both_cold")


def test_binders_alone(tmp_path: Path) -> None:
    sides(tmp_path)
    rows = [(f"p{n // 2}", f"HLA-{(n // 2 + n % 2) % 8}", 1) for n in range(48)]
    table(tmp_path / "t.csv", ["pep", "rec", "bound"], rows)
    shares = {"data__split__val_fraction": 0.3, "data__split__test_fraction": 0.3}
    assert guessed(tmp_path, **shares)["negatives"] == "derangement"


def test_rosetta_scores_with_ids_in_their_tags(tmp_path: Path) -> None:
    sides(tmp_path)
    lines = ["SEQUENCE:", "SCORE: total_score I_sc rmsd description"]
    lines += [
        f"SCORE: -200.5 {-30 * value:.3f} 1.0 dock_{r}_{p}_0001" for (p, r), value in zip(PAIRS, NUMBERS, strict=True)
    ]
    (tmp_path / "scores.txt").write_text("\n".join(lines) + "\n")
    found = guessed(tmp_path)
    assert (found["scores.term"], found["scores.transform"]) == ("I_sc", "minmax")
    assert found["ligands"] == "b.fa.gz"


def test_what_is_given_is_not_guessed(tmp_path: Path) -> None:
    sides(tmp_path)
    rows = [(p, r, value, value) for (p, r), value in zip(PAIRS, NUMBERS, strict=True)]
    table(tmp_path / "t.csv", ["pep", "rec", "x", "y2"], rows)
    with pytest.raises(InputError, match="several columns may hold the labels"):
        guessed(tmp_path)
    found = guessed(tmp_path, data__columns__label="y2", encoder__name="esmc-tiny-random", train__epochs=3)
    assert (found["columns.label"], found["train.epochs"], found["encoder.name"]) == ("y2", 3, "esmc-tiny-random")
    assert "encoder.weights" not in found


def test_ids_that_are_numbers_are_not_taken_for_labels(tmp_path: Path) -> None:
    number = {name: str(n) for n, name in enumerate([*PEPTIDES, *PROTEINS])}
    fasta(tmp_path / "pep.fa", {number[name]: sequence for name, sequence in PEPTIDES.items()})
    fasta(tmp_path / "rec.fa", {number[name]: sequence for name, sequence in PROTEINS.items()})
    rows = [(int(value > 0.5), number[p], number[r]) for (p, r), value in zip(PAIRS, NUMBERS, strict=True)]
    table(tmp_path / "t.csv", ["binds", "a", "b"], rows)
    found = guessed(tmp_path)
    assert [found[f"columns.{key}"] for key in ("label", "ligand", "receptor")] == ["binds", "a", "b"]


def test_values_of_which_higher_is_better_are_never_taken_the_other_way(tmp_path: Path) -> None:
    sides(tmp_path)
    rows = [(p, r, 4 + 5 * value) for (p, r), value in zip(PAIRS, NUMBERS, strict=True)]
    table(tmp_path / "t.csv", ["pep", "rec", "pKd"], rows)
    assert guessed(tmp_path)["scores.unit"] == "pK"
    with pytest.raises(InputError, match="the affinities are pK, of which higher is better"):
        guessed(tmp_path, data__scores__transform="rank")


@pytest.mark.parametrize(
    ("names", "first", "told"),
    [
        (["pep", "rec", "Kd_mM"], ["p0", "HLA-0", "71"], "its name says mm"),
        (["pep", "rec", "note"], ["p0", "HLA-0", "good"], "no column was found that says whether a pair binds"),
        (["pep", "rec", "label"], ["P0", "HLA-0", "1"], "Upper and lower case differ: write 'p0'"),
        (["p0", "HLA-1", "1"], ["p1", "HLA-0", "0"], "no header line"),
        (["pep", "rec", "label"], ["x", "y", "0"], "no cell of its first 2 lines is an id"),
    ],
)
def test_what_cannot_be_guessed_is_one_line_with_the_way_out(
    tmp_path: Path, names: list[str], first: list[str], told: str
) -> None:
    sides(tmp_path)
    table(tmp_path / "t.csv", names, [first])
    with pytest.raises(InputError, match=told) as caught:
        guessed(tmp_path)
    assert "\n" not in str(caught.value)
