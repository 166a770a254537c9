"""What callers give: one line says what is wrong with it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from hpc.errors import InputError
from snw_dist.scoring.arguments import broadcast, check_table, check_whole


@pytest.mark.parametrize(
    ("ligands", "receptors", "found"),
    [
        (["A", "C"], ["M", "K"], (["A", "C"], ["M", "K"])),
        (["A", "C"], "M", (["A", "C"], ["M", "M"])),
        ("A", ["M", "K"], (["A", "A"], ["M", "K"])),
        ([], [], ([], [])),
        ([], "M", ([], [])),
    ],
)
def test_a_single_sequence_stands_in_every_pair(ligands: Any, receptors: Any, found: Any) -> None:
    assert broadcast(ligands, receptors) == found


def test_other_numbers_of_sequences() -> None:
    with pytest.raises(InputError, match="3 ligands and 2 receptors: give equally many, or one of either"):
        broadcast(["A", "C", "D"], ["M", "K"])


@pytest.mark.parametrize("wrong", ["pairs.csv", [["A", "M"]], None])
def test_what_is_no_table(wrong: Any) -> None:
    with pytest.raises(InputError, match=r"^give a table of pandas, such as pandas.read_csv makes one, not \w+\.$"):
        check_table(wrong, ("ligand",))


@pytest.mark.parametrize(("columns", "said"), [("ab", "no column 'c': there are a, b"), ("cc", "'c' is there twice")])
def test_columns_are_there_once(columns: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        check_table(pd.DataFrame([[1, 2]], columns=list(columns)), ["c"])


def test_whole_numbers() -> None:
    for good in (1, 2**40, np.int64(3)):
        check_whole("top", good, "100")
    for wrong in (0, -1, None, 1.5, "2G", True):
        with pytest.raises(InputError, match=r"^top: give a whole number from 1 on, such as 100, not "):
            check_whole("top", wrong, "100")
