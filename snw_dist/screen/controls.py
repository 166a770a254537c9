"""What the controls of the bundle say of a result: how much of its order something simpler would have found, too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from snw_dist.bundle.format import METRICS
from snw_dist.bundle.read import Bundle

NETWORK = "network"
_CHOSEN_BY = "val"
_SAID = {NETWORK: "the network", "ligand": "the ligand alone", "shuffled_receptor": "the network with other receptors"}


def controls_of(bundle: Bundle) -> dict[str, Any]:
    """`auroc`: split -> the network and every control -> value; `sentences`: how they compare, by `evaluate`."""
    figures = bundle.read_json(METRICS)
    own = figures["mean"] or next(iter(figures["members"].values()))
    measured = {NETWORK: own, **figures["controls"]}
    auroc = {
        split: {name: _auroc(one["splits"], split) for name, one in measured.items()} for split in figures["splits"]
    }
    return {"auroc": auroc, "sentences": list(figures["sentences"])}


def lines_of(said: Mapping[str, Any]) -> Iterator[str]:
    """For people, from what `controls_of` found; nothing of validation, by which the network was chosen."""
    for split, values in said["auroc"].items():
        known = [f"{words} {values[name]:.3f}" for name, words in _SAID.items() if values.get(name) is not None]
        if split != _CHOSEN_BY and known:
            yield f"{split}, AUROC: {', '.join(known)}"
    yield from (line for line in said["sentences"] if not line.startswith(f"{_CHOSEN_BY}:"))


def _auroc(splits: Mapping[str, Any], split: str) -> float | None:
    value = splits.get(split, {}).get("metrics", {}).get("auroc", {}).get("value")
    return None if value is None else float(value)
