"""A screen as a whole: the hits are those of all scores of `predict`, and the same bytes whoever does the work."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from hpc.errors import EnvironmentProblem, InputError, Preempted
from snw_dist.screen import unit, vectors
from snw_dist.screen.asked import Asked, prepared_screen
from snw_dist.screen.run import run_screen
from tests.kit.screen_tools import every_score, hits_of, result_of, runtime_of, screened, sequences_of


def test_the_hits_are_the_best_of_all_scores_bit_for_bit(asked: Asked) -> None:
    found, everything = hits_of(screened(asked)), every_score(asked)
    for receptor, mine in found.groupby("receptor"):
        right = everything[everything["receptor"] == receptor]
        distinct = list(dict.fromkeys(right["ligand_sequence"]))[:5]
        expected = right[right["ligand_sequence"].isin(distinct)]
        assert mine["ligand"].tolist() == expected["ligand"].tolist()
        assert mine["snw_score"].tolist() == expected["snw_score"].tolist()
        assert mine["snw_rank"].tolist() == [distinct.index(one) + 1 for one in mine["ligand_sequence"]]
    num = everything["ligand_sequence"].nunique()
    np.testing.assert_array_equal(found["snw_library_percentile"], 100 * (found["snw_rank"] - 1) / num)


def test_specificity_is_told_from_all_receptors(asked: Asked) -> None:
    found, everything = hits_of(screened(replace(asked, top=43))), every_score(asked)
    of_pair = everything.set_index(["ligand", "receptor"])["snw_score"]
    for row in found.itertuples():
        others = of_pair[row.ligand].drop(row.receptor)
        assert row.snw_specificity == 1 - (others > row.snw_score).sum() / len(others)
    assert set(found["snw_num_receptors"]) == {6}
    few = hits_of(screened(replace(asked, to=asked.to.with_name("few"))))
    counts = Counter(few.drop_duplicates(["ligand_sequence", "receptor"])["ligand_sequence"])
    assert few["snw_num_receptors"].tolist() == [counts[one] for one in few["ligand_sequence"]]


def test_a_sequence_with_two_ids_has_two_rows(asked: Asked) -> None:
    found = hits_of(screened(replace(asked, top=43)))
    twins = found[found["ligand"].isin(["twin", "l0"])]
    assert len(twins) == 12
    assert twins.groupby("receptor")["snw_rank"].nunique().eq(1).all()


def test_a_receptor_with_two_ids_has_two_lists(asked: Asked, tmp_path: Path) -> None:
    """Each whole, in the order of the file, and in a file of its own."""
    names = sequences_of(asked.receptors)
    twin = tmp_path / "twins.fasta"
    twin.write_text(f">again\n{names['r2']}\n" + asked.receptors.read_text())
    folder = screened(replace(asked, receptors=twin, top=43))
    found, everything = hits_of(folder), every_score(replace(asked, receptors=twin))
    assert found["receptor_sequence"].tolist() == [{"again": names["r2"], **names}[one] for one in found["receptor"]]
    order = sorted({*names.values()}, key=lambda one: (len(one), one))
    of_sequence = [
        [name for name in ["again", *names] if {"again": names["r2"], **names}[name] == one] for one in order
    ]
    assert list(dict.fromkeys(found["receptor"])) == [name for names in of_sequence for name in names]
    for receptor, mine in found.groupby("receptor"):
        assert mine["ligand"].tolist() == everything[everything["receptor"] == receptor]["ligand"].tolist()
        [file] = (folder / "csv").glob(f"*_{receptor}.csv")
        assert pd.read_csv(file)["snw_score"].tolist() == mine["snw_score"].tolist()
    assert (folder / "csv" / "000001_again.csv").exists()


@pytest.mark.parametrize("tasks", [2, 7])
def test_any_number_of_tasks_gives_the_same_bytes(asked: Asked, tasks: int) -> None:
    alone = result_of(screened(asked))
    assert result_of(screened(replace(asked, to=asked.to.with_name("array")), tasks)) == alone
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        other = replace(asked, to=asked.to.with_name("units"), block_residues=1000, unit_pairs=3)
        assert result_of(screened(other)) == alone
    finally:
        torch.set_num_threads(threads)
    assert len(alone) == 1 + 6 + 1


def test_a_stopped_screen_goes_on_and_does_nothing_twice(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped again and again at every place where it asks; each block and unit is computed once, but what was open."""
    alone, other = result_of(screened(asked)), replace(asked, to=asked.to.with_name("stopped"))
    made: Counter[str] = Counter()

    def counted(path: Path, *arguments: object) -> None:
        made[f"{path.parent.name}/{path.name}"] += 1
        original(path, *arguments)  # type: ignore[arg-type]

    original = unit.write_arrays
    monkeypatch.setattr(unit, "write_arrays", counted)
    monkeypatch.setattr(vectors, "write_arrays", counted)
    plan = prepared_screen(other)
    assert plan is not None
    stops = 0
    for stop_at in range(1, 40):
        try:
            run_screen({"to": str(other.to), "plan": plan.digest}, runtime_of(other.to.parent / "job", stop_at=stop_at))
        except Preempted:
            stops += 1
    assert result_of(other.to) == alone
    assert stops > 5
    assert set(made.values()) == {1}


def test_begun_with_some_units_it_goes_on_with_others(asked: Asked) -> None:
    """The units of the first start have the same numbers and other pairs."""
    alone, other = result_of(screened(asked)), replace(asked, to=asked.to.with_name("changed"))
    plan = prepared_screen(other)
    assert plan is not None
    with pytest.raises(Preempted):
        run_screen({"to": str(other.to), "plan": plan.digest}, runtime_of(other.to.parent / "job", stop_at=40))
    assert len([*other.to.rglob("unit_*")]) > 1
    assert result_of(screened(replace(other, unit_pairs=100))) == alone


def test_a_result_is_not_replaced_by_another_screen(asked: Asked) -> None:
    before = result_of(screened(asked))
    with pytest.raises(InputError, match="holds the result of a screen of other libraries, options or bundle"):
        prepared_screen(replace(asked, top=3))
    assert result_of(asked.to) == before


def test_an_unfinished_screen_is_not_replaced_where_something_speaks_against_it(asked: Asked) -> None:
    def living() -> None:
        raise EnvironmentProblem("a job of it is running")

    plan = prepared_screen(asked)
    with pytest.raises(EnvironmentProblem, match="is running"):
        prepared_screen(replace(asked, top=3), begins_anew=living)
    assert prepared_screen(asked, begins_anew=living) == plan, "the same one is not replaced"
    other = prepared_screen(replace(asked, top=3))
    assert other is not None
    assert other != plan


def test_what_a_kill_leaves_beside_a_file_is_not_in_the_result(asked: Asked) -> None:
    alone, other = result_of(screened(asked)), replace(asked, to=asked.to.with_name("killed"))

    def leave(folder: Path) -> None:
        for place in (folder, folder / "hits", folder / "csv"):
            place.mkdir(exist_ok=True)
            (place / ".part.0123.partial").write_bytes(b"half")

    other.to.mkdir()
    leave(other.to)
    assert result_of(screened(other, before=leave)) == alone
    assert not [*other.to.glob("*/.*"), *other.to.glob(".*")]


def test_vectors_of_half_the_size_give_nearly_the_same_scores(asked: Asked) -> None:
    half = replace(asked, dtype="float16", top=43)
    found = hits_of(screened(half)).set_index(["ligand", "receptor"])["snw_score"]
    expected = every_score(asked).set_index(["ligand", "receptor"])["snw_score"]
    assert abs(found - expected).max() < 2e-3
    assert (found != expected.loc[found.index]).any()
    shared = screened(replace(half, to=asked.to.with_name("shared")), tasks=2)
    assert result_of(shared) == result_of(half.to)


def test_what_is_damaged_is_made_again(asked: Asked) -> None:
    alone = result_of(screened(asked))
    other = replace(asked, to=asked.to.with_name("damaged"))
    plan = prepared_screen(other)
    assert plan is not None
    values = {"to": str(other.to), "plan": plan.digest}
    with pytest.raises(Preempted):
        run_screen(values, runtime_of(other.to.parent / "job", stop_at=40))
    files = [*other.to.rglob("block_*.safetensors"), *other.to.rglob("unit_*.safetensors")]
    assert any("unit" in file.name for file in files)
    for place, file in enumerate(files):
        data = bytearray(file.read_bytes())
        data[(37 * place) % len(data)] ^= 4
        file.write_bytes(data)
    run_screen(values, runtime_of(other.to.parent / "job"))
    assert result_of(other.to) == alone


def test_vectors_are_used_again_by_another_screen(asked: Asked, tmp_path: Path) -> None:
    store = tmp_path / "vectors"
    first = screened(replace(asked, vectors=store))
    before = {file: file.stat().st_mtime_ns for file in store.rglob("*.safetensors")}
    assert before
    second = screened(replace(asked, vectors=store, top=3, to=tmp_path / "second"))
    assert {file: file.stat().st_mtime_ns for file in store.rglob("*.safetensors")} == before
    shutil.rmtree(first)
    assert hits_of(second)["snw_rank"].max() == 3


def test_a_threshold_keeps_what_reaches_it_and_cuts_nothing_off(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    everything = every_score(asked)
    threshold = float(everything["snw_score"].quantile(0.8))
    found = hits_of(screened(replace(asked, top=None, threshold=threshold)))
    assert len(found) == (everything["snw_score"] >= threshold).sum()
    monkeypatch.setattr("snw_dist.screen.preflight.MOST_ROWS", 12)
    with pytest.raises(InputError, match="Give --top N"):
        screened(replace(asked, top=None, threshold=0.0, to=asked.to.with_name("many")))


@pytest.mark.parametrize("option", ["to", "vectors"])
def test_nothing_is_written_into_the_bundle(asked: Asked, option: str) -> None:
    with pytest.raises(InputError, match=rf"--{option} .*inner: lies in the bundle"):
        prepared_screen(replace(asked, **{option: Path(asked.bundle) / "inner"}))


@pytest.mark.parametrize("damage", [Path.unlink, lambda file: file.write_bytes(file.read_bytes()[::-1])])
def test_a_result_that_was_changed_is_made_again(asked: Asked, damage: Callable[[Path], object]) -> None:
    before = result_of(screened(asked))
    assert prepared_screen(asked) is None
    damage(next((asked.to / "csv").iterdir()))
    assert result_of(screened(asked)) == before
