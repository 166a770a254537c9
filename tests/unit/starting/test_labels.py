"""Of which kind the values of a column are."""

from __future__ import annotations

import pytest

from hpc.errors import InputError
from snw_dist.starting.columns import Column, counted
from snw_dist.starting.labels import guessed_label, kind_of, label_guesses


def column(name: str, *cells: object) -> Column:
    [found], _ = counted([name], [(cell,) for cell in cells], [])  # type: ignore[arg-type]
    return found


@pytest.mark.parametrize(
    ("name", "cells", "kind"),
    [
        ("label", (0, 1, 1.0), "binary"),
        ("binds", ("Yes", "no", ""), "binary"),
        ("x", ("bound", "0", "unbound"), "binary"),
        ("score", (0.1, 0.0, 1), "unit"),
        ("IC50_nM", (0.4, 12, 30000), "affinity"),
        ("measured", (">5000", 12, 30000), "affinity"),
        ("Kd", (1e-9, 1e-6), "affinity"),  # of another unit, which is told then
        ("vina", (-7.1, 0.3, -5), "energy"),
        ("energy", (3.0, 4.0, 9.0), "energy"),
        ("x", (-3.0, -4.0, 9.0), "energy"),
        ("pIC50", (5.1, 7.0), "higher"),
        ("-logKd/Ki", (5.1, 7.0), "higher"),
        ("year", (1999, 2004), "unclear"),
        ("note", ("good", "bad", "1"), None),
        ("empty", ("", None), None),
        ("IC50_nM", (12, "~5", "1,234", 30, 40, 50), "affinity"),
    ],
)
def test_kinds(name: str, cells: tuple[object, ...], kind: str | None) -> None:
    assert kind_of(column(name, *cells)) == kind


@pytest.mark.parametrize(
    ("name", "cells", "unit"),
    [
        ("IC50 (nM)", (4, 12), "nM"),
        ("Kd_uM", (4, 0.002), "uM"),
        ("Ki [µM]", (4, 0.002), "uM"),
        ("Kd (M)", (1.0, 1e-7), "M"),
        ("Kd", (1e-5, 1e-7), "M"),
        ("Ki", (5, 700), "nM"),
        ("pKd", (5, 7.2), "pK"),
        ("neg_log10_kd", (5, ">7.2"), "pK"),
    ],
)
def test_the_unit_of_an_affinity(name: str, cells: tuple[object, ...], unit: str) -> None:
    found, kind, why = guessed_label([column("year", 1999, 2001), column(name, *cells)], "t.csv")
    guesses = {guess.key: guess.value for guess in label_guesses(found, kind, why)}
    assert (guesses["data.scores.term"], guesses["data.scores.unit"]) == (name, unit)


def test_which_of_several() -> None:
    columns = [column("total_score", -200, -300), column("I_sc", -20, -30), column("rmsd", 1.5, 3)]
    assert guessed_label(columns, "t.csv")[0].name == "I_sc"
    columns.append(column("label", 1, 0))
    assert guessed_label(columns, "t.csv")[0].name == "label"
    with pytest.raises(InputError, match=r"several columns.*Choose one with --set data\.columns\.label=NAME"):
        guessed_label([column("binds", 0, 1), column("bound", 1, 0)], "t.csv")
