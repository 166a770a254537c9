"""The model card: what a person who was given the folder should know first, as the Hugging Face hub reads it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

_SHOWN = {"auroc": "AUROC", "auprc": "AUPRC", "brier": "Brier score", "ece": "calibration error"}
_VAL = "val"
_TAGS = ("protein", "protein-protein-interaction", "binding", "esm-c", "siamese-network")
_INSTALL = """Install snw-dist {version} or newer from its sources, a folder. It is not published in a package index.
Whoever made this can say where the sources are. Python 3.11 or newer is needed.

```bash
pip install path/to/snw-dist
```

From Python:"""
_USE = """```python
from snw_dist import PairScorer

scorer = PairScorer.load("FOLDER")  # this folder, or its id on the hub
print(scorer.score(["SIINFEKL"], ["GSHSMRYFFTSVSRPGRGEPRFIAVGYVDDTQFVRFDSDAASQRMEPRAPWIEQEGPEYWDGETRKVK"]).probability)
```"""


def card(says: Mapping[str, Any], figures: Mapping[str, Any]) -> str:
    """The text of `README.md`: front matter for the hub, then what the networks are, can do and cannot.

    `says`: the content of `bundle.json`; `figures`: that of `metrics.json`.
    """
    parts = [
        _front_matter(says),
        f"# {says['name']}",
        "Scores pairs of proteins, a ligand with a receptor: does it bind, and how sure is that. Made with snw-dist.",
        "## Use",
        _INSTALL.format(version=says["versions"]["snw-dist"]),
        _USE,
        "On the command line: `snw-dist predict --bundle FOLDER pairs.csv --to scored.csv`.",
        "Every file is compared with its SHA-256 first, and ten pairs with their scores (`parity.json`).",
        *(
            ["The encoder has random weights: a demonstration, of no use for anything else."]
            if _is_random(says)
            else []
        ),
        "## Members",
        "\n".join(_members(says)),
        "## How good it is",
        "\n".join(_figures(figures)),
        *figures["sentences"],
        "\n".join(f"- {line}" for line in _limits(says, figures)),
        "## Licences",
        "\n".join(_licences(says)),
        "## Made with",
        ", ".join(f"{name} {version}" for name, version in sorted(says["versions"].items())),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _is_random(says: Mapping[str, Any]) -> bool:
    return str(says["rows"]["encoder"].get("name", "")).endswith("random")


def _front_matter(says: Mapping[str, Any]) -> str:
    """YAML, of which JSON is a part: so every value is written as JSON."""
    given = [f"{of}: {text}" for of, text in sorted(says["licences"].items()) if text]
    values = {
        "library_name": "snw-dist",
        "license": "other",
        "license_name": "; ".join(given) or "not given",
        "tags": list(dict.fromkeys([*_TAGS, *sorted(member["network"] for member in says["members"].values())])),
        "metrics": ["roc_auc", "brier_score"],
    }
    lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in values.items()]
    return "\n".join(["---", *lines, "---"])


def _members(says: Mapping[str, Any]) -> Iterator[str]:
    encoder, rows = says["rows"]["encoder"], says["rows"]
    yield "| member | network | step | threshold |"
    yield "|---|---|---|---|"
    for name, member in sorted(says["members"].items()):
        yield f"| {name} | {member['network']} | {member['step']:,} | {_number(member['threshold'])} |"
    yield ""
    yield f"Encoder: {_plain(str(encoder.get('description', '')))}, SHA-256 `{encoder.get('weights_sha256', '')}`,"
    yield f"layers {encoder.get('layers')}, {rows['width']:,} values a residue as {rows['dtype']}."
    if len(says["members"]) > 1:
        yield "The score is the mean of the members' calibrated probabilities; it has a calibration of its own."


def _figures(figures: Mapping[str, Any]) -> Iterator[str]:
    """The mean, or the one member there is, beside the best control of each split."""
    own = figures["mean"] or next(iter(figures["members"].values()))
    level = figures["bootstrap"]["level"]
    yield f"| split | pairs | {' | '.join(_SHOWN.values())} | best control |"
    yield f"|---|---|{'---|' * len(_SHOWN)}---|"
    for split, facts in figures["splits"].items():
        metrics = own["splits"].get(split, {}).get("metrics", {})
        cells = [_with_interval(metrics.get(name, {})) for name in _SHOWN]
        counts = f"{facts['num_pairs']:,}, {facts['num_positive']:,} positive"
        yield f"| {' | '.join([split, counts, *cells, _best(figures['controls'], split)])} |"
    yield ""
    yield f"In brackets: {level:.0%} intervals. Threshold and calibration were chosen on `{_VAL}`, which flatters its"
    yield "own figures; a calibration of many steps (isotonic) has no error at all on the pairs it was fitted on."
    yield "All figures, also those of every control, are in `metrics.json`."


def _best(controls: Mapping[str, Any], split: str) -> str:
    values = {
        name: control["splits"][split]["metrics"]["auroc"]["value"]
        for name, control in controls.items()
        if split in control["splits"]
    }
    known = {name: value for name, value in values.items() if value is not None}
    best = max(known, key=known.__getitem__, default=None)
    return "-" if best is None else f"{best}, AUROC {known[best]:.3f}"


def _limits(says: Mapping[str, Any], figures: Mapping[str, Any]) -> Iterator[str]:
    val = figures["splits"].get(_VAL, {"num_pairs": 0, "num_positive": 0})
    if val["num_positive"] in (0, val["num_pairs"]):
        yield f"`{_VAL}` has pairs of one class alone: a score is no probability of binding, and there is no threshold."
    yield "A probability holds for pairs like those of training; for sequences unlike all of these it may be far off."
    if split := figures.get("calibration_split"):
        yield (
            f"Which hits a screen keeps for a promised share of false ones is decided by the pairs of `{split}`. So "
            f"`{split}` can measure the network, but not that promise."
        )
    if any(member["fold"] for member in says["members"].values()):
        yield (
            "The members are of several folds: each figure is that of the members which did not learn from the pair. "
            "A pair that is new to all is scored by all."
        )


def _licences(says: Mapping[str, Any]) -> Iterator[str]:
    for of in ("data", "encoder"):
        yield f"- {of}: {_plain(says['licences'][of] or 'not given by whoever made this')}"


def _with_interval(figure: Mapping[str, Any]) -> str:
    low, high = figure.get("low"), figure.get("high")
    interval = "" if low is None or high is None else f" [{low:.3f}, {high:.3f}]"
    return f"{_number(figure.get('value'))}{interval}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _plain(text: str) -> str:
    """Text of a user, so that it stays text."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")
