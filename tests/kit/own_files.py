"""Files as people have them: other names, delimiters, labels and columns than ours."""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

LETTERS = np.array(list("ACDEFGHIKLMNPQRSTVWY"))
_DRAW = np.random.default_rng(3)
PEPTIDES = {f"p{i}": "".join(_DRAW.choice(LETTERS, 9)) for i in range(24)}
PROTEINS = {f"HLA-{i}": "".join(_DRAW.choice(LETTERS, 40)) for i in range(8)}
PAIRS = [(ligand, receptor) for ligand in PEPTIDES for receptor in list(PROTEINS)[:4]]
NUMBERS = _DRAW.random(len(PAIRS)).round(3).tolist()


def fasta(path: Path, records: Mapping[str, str]) -> None:
    """Write a FASTA file, packed where its name says so."""
    text = "".join(f">{name} of our lab\n{sequence}\n" for name, sequence in records.items()).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)


def table(path: Path, names: Sequence[str], rows: Sequence[Sequence[object]], delimiter: str = ",") -> None:
    """Write a table with a line of names."""
    lines = [delimiter.join(map(str, row)) for row in (names, *rows)]
    path.write_text("\n".join(lines) + "\n")


def sides(folder: Path) -> None:
    """Two FASTA files whose names say nothing, the one with the receptors first."""
    fasta(folder / "a.fa", PROTEINS)
    fasta(folder / "b.fa.gz", PEPTIDES)
