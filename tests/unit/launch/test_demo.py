"""The end of `slurm/demo`: scores of peptides that are really new, by the commands as they stand there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd

from tests.kit.bundle_tools import bundled, measured_run
from tests.kit.ranks import REPOSITORY
from tests.kit.shipped import DATA


def test_the_new_peptides_are_in_no_split() -> None:
    """Nor is a part of one, or a longer one: the network cannot have seen them."""
    known = [line for line in (DATA / "ligands.fasta").read_text().splitlines() if not line.startswith(">")]
    table = pd.read_csv(DATA / "new_peptides.csv")
    assert table.columns.tolist() == ["peptide", "first_residue"]
    assert len(set(table["peptide"])) == 94
    assert not [new for new in table["peptide"] for old in known if new in old or old in new]
    protein = {int(start) + i: letter for new, start in table.itertuples(index=False) for i, letter in enumerate(new)}
    for new, start in table.itertuples(index=False):
        assert new == "".join(protein[start + i] for i in range(9))


def test_the_demo_ends_with_the_five_best_of_them(tmp_path: Path) -> None:
    text = (REPOSITORY / "slurm" / "demo").read_text()
    before, end = text.split("run python launch/export.py\n")
    assert "run python launch/evaluate.py" in before
    end = end.split("printf '\\nThe demo has left")[0].replace("runs/demo", str(tmp_path))
    bundled(measured_run(tmp_path), tmp_path / "bundle")
    done = subprocess.run(
        ["bash", "-euc", 'run() { "$@"; }\n' + end],
        cwd=REPOSITORY,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    header, *rows = done.stdout.strip().splitlines()[-6:]
    assert header == "peptide,first_residue,snw_score,snw_probability,snw_percentile"
    scores = [float(row.split(",")[2]) for row in rows]
    assert len(rows) == 5
    assert scores == sorted(scores, reverse=True)
    assert {row.split(",")[0] for row in rows} <= set(pd.read_csv(DATA / "new_peptides.csv")["peptide"])
    assert len(pd.read_csv(tmp_path / "new_peptides.csv")) == 5


def test_the_path_of_the_report_is_the_last_line_also_where_a_cluster_is_taken_down() -> None:
    text = (REPOSITORY / "slurm" / "demo").read_text()
    down = text[text.index("down() {") : text.index("many=4")]
    end = text[text.index("printf '\\nThe demo has left") :]
    script = f'run() {{ echo "$*"; }}; ls() {{ :; }}\n{down}trap down EXIT\n{end}'
    done = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, timeout=60, check=True)
    *_, taken_down, _, last = done.stdout.splitlines()
    assert (taken_down, last.split(": ")[0]) == ("slurm/devcluster down", "Open the report in a browser")
