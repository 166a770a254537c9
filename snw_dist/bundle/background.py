"""Peptides to compare a score with: drawn residue by residue, as often as each one is in natural proteins.

A bundle has the table, the seed and the number of them, so whoever is given it draws the same peptides of any length;
a digest shows that they are the same.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, ConfigDict, Field
from pydantic.dataclasses import dataclass

from snw_dist.arrays import FloatArray
from snw_dist.data.records.cleaning import STANDARD

SOURCE = "UniProtKB/Swiss-Prot release 49.0 of 7 February 2006, composition in percent"
_OF_EACH = "7.83 1.52 5.32 6.64 4.00 6.93 2.29 5.91 5.93 9.64 2.38 4.18 4.83 3.95 5.35 6.86 5.42 6.71 1.15 3.06"
PERCENT = dict(zip(STANDARD, map(float, _OF_EACH.split()), strict=True))
"""Of 75,438,310 residues in 207,132 proteins. They add up to 99.90: the rest is B, X and Z."""
SEED, SIZE = 1, 10_000
"""Of every bundle, so that two bundles are compared with the same peptides. 50 of 10,000 are 0.5 %."""
_DIGEST_OF = 9
"""Residues of the peptides whose digest a bundle has; of other lengths they come from the same code."""


def _of_all_residues(percent: dict[str, float]) -> dict[str, float]:
    if sorted(percent) != sorted(STANDARD):
        raise ValueError(f"needs a number for each of {STANDARD}, and for nothing else")
    return percent


@dataclass(config=ConfigDict(extra="forbid", allow_inf_nan=False), frozen=True)
class BackgroundEntry:
    """What decides the peptides."""

    kind: Literal["residue frequencies"]
    source: str
    """Of the table."""
    percent: Annotated[dict[str, Annotated[float, Field(strict=True, gt=0, le=100)]], AfterValidator(_of_all_residues)]
    """Residue -> how often it is drawn, relative to the others."""
    seed: Annotated[int, Field(strict=True, ge=0, lt=2**53)]
    size: Annotated[int, Field(strict=True, ge=1000, le=1_000_000)]
    """Peptides of each length."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """Of those of nine residues, see `digest_of`."""


def standard_background() -> dict[str, Any]:
    """The entry of a new bundle."""
    digest = digest_of(drawn(PERCENT, SEED, SIZE, _DIGEST_OF))
    return {
        "kind": "residue frequencies",
        "source": SOURCE,
        "percent": PERCENT,
        "seed": SEED,
        "size": SIZE,
        "sha256": digest,
    }


def draws_the_same(entry: BackgroundEntry) -> bool:
    """Whether the peptides are drawn here as where the entry was made."""
    return digest_of(drawn(entry.percent, entry.seed, entry.size, _DIGEST_OF)) == entry.sha256


def drawn(percent: dict[str, float], seed: int, size: int, length: int) -> list[str]:
    """`size` peptides of `length` residues, each residue by itself; the same ones on every machine."""
    letters = np.frombuffer(STANDARD.encode(), dtype=np.uint8)
    upto = np.cumsum([percent[letter] for letter in STANDARD])
    places = np.searchsorted(upto, uniform(seed, length, size * length) * upto[-1], side="right")
    text = letters[np.minimum(places, len(letters) - 1)].tobytes().decode()
    return [text[start : start + length] for start in range(0, len(text), length)]


def uniform(seed: int, stream: int, count: int) -> FloatArray:
    """[count] numbers in [0, 1), for each `seed` and `stream` always the same.

    They are bits of SHAKE-256 (FIPS 202), and of no generator whose next version may give others.
    """
    bits = hashlib.shake_256(f"background {seed} {stream}".encode()).digest(8 * count)
    return (np.frombuffer(bits, dtype="<u8") >> np.uint64(11)).astype(np.float64) * 2.0**-53


def digest_of(peptides: list[str]) -> str:
    """SHA-256 of peptides in their order, one in a line."""
    return hashlib.sha256("\n".join(peptides).encode()).hexdigest()
