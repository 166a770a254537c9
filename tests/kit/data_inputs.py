"""A small set of good inputs, of which each test spoils what it is about."""

from __future__ import annotations

from collections.abc import Callable

from snw_dist.config import SnwConfig

LIGANDS = ">pep1 first\nMKVA\n>pep2\nACDE\nFG\n>pep3\nGGHH\n>pep4\nWWYY\n"
RECEPTORS = ">recA\nMKTAYIAKQR\n>recB\nGSHMLEDPVD\n"
PAIRS = (
    "ligand_id,receptor_id,label,split\n"
    "pep1,recA,0.9,train\n"
    "pep2,recA,0.1,train\n"
    "pep3,recB,0.7,val\n"
    "pep4,recB,0.2,test\n"
)

Inputs = Callable[..., SnwConfig]
"""Writes the three input files (text or bytes) and returns a configuration; keywords are data settings."""
