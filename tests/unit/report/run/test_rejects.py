"""Rejected records by file and reason, from the list that `prepare` writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpc.errors import CorruptError
from snw_dist.data.files.rejects import Rejects, rejects_csv
from snw_dist.report.run.rejects import reasons_of


def test_reasons_are_counted(tmp_path: Path) -> None:
    rejects = Rejects()
    for line in (3, 9):
        rejects.add("ligands", line, f"l{line}", "a letter that is no residue", "Correct it.", "ACB")
    rejects.add("pairs", 4, "l3", "no such ligand", "")
    path = tmp_path / "rejects.csv"
    path.write_text(rejects_csv(rejects, {"ligands": "l.fasta", "receptors": "r.fasta", "pairs": "p.csv"}, tmp_path))
    first, second = reasons_of(path)
    assert first == ("l.fasta", "a letter that is no residue", 2, "line 3: l3 ACB")
    assert second == ("p.csv", "no such ligand", 1, "line 4: l3")
    assert reasons_of(tmp_path / "none.csv") == []


def test_another_table_is_damage(tmp_path: Path) -> None:
    (tmp_path / "rejects.csv").write_text("a,b\n1,2\n")
    with pytest.raises(CorruptError, match=r"rejects\.csv: damaged: .*snw-dist prepare"):
        reasons_of(tmp_path / "rejects.csv")
