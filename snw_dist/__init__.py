"""Protein-pair models on clusters: prepare, embed with ESM C, train, evaluate; and score pairs by what was trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from snw_dist.version import __version__

if TYPE_CHECKING:
    from snw_dist.scoring.scorer import PairScorer

__all__ = ["PairScorer", "__version__"]


def __getattr__(name: str) -> Any:
    """`PairScorer` is loaded when it is asked for: it needs torch, and to import this package costs nothing.

    Raises `AttributeError` for any other name.
    """
    if name == "PairScorer":
        from snw_dist.scoring.scorer import PairScorer

        return PairScorer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
