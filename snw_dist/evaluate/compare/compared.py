"""Networks and controls that were measured on the same pairs, as plain data: the content of `comparison.json`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hpc.disk.files import atomic_write_json
from snw_dist.evaluate.measure.held_out import TRAIN, VAL
from snw_dist.evaluate.measure.measured import Measured
from snw_dist.evaluate.measure.verdict import best_on_validation, judge, judge_networks
from snw_dist.evaluate.report import without_nan
from snw_dist.evaluate.training_cost import Trained
from snw_dist.metrics.bootstrap import LEVEL


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Networks and controls on the same pairs, each measured; over several folds all figures are means."""

    encoder: str
    repeats: int
    seed: int
    splits: dict[str, dict[str, Any]]
    """Split -> what it has, see `measure.describe`."""
    runs: dict[str, list[str]]
    """Network -> the names of its finished runs."""
    models: dict[str, Measured]
    """Network -> the mean of its runs."""
    ensembles: dict[str, Measured]
    controls: dict[str, Measured]
    missing: list[str]
    """Runs that did not reach their end."""
    folds: int = 1
    made_of: dict[str, dict[str, str]] = dataclasses.field(default_factory=dict)
    """Run -> the digests of what its scores are made of."""
    data: list[str] = dataclasses.field(default_factory=list)
    """Digest of the training pairs, see `snw_dist.data.trained`; one for each fold."""
    trained: dict[str, Trained] = dataclasses.field(default_factory=dict)
    """Run -> how large its network is, and what training it took."""
    learned_from: list[dict[str, dict[str, int]]] = dataclasses.field(default_factory=list)
    """For each fold, control -> how many of the training pairs it was learned from, see `learned`."""
    left_out: list[dict[str, dict[str, int]]] = dataclasses.field(default_factory=list)
    """For each fold, the pairs that are not measured because they were trained on, see `measurable`."""
    each: dict[str, Measured] = dataclasses.field(default_factory=dict)
    """Run -> what was measured of it alone."""

    def plain(self) -> dict[str, Any]:
        """What the file of the comparison holds."""
        rivals = self.models | {f"ensemble: {name}": ensemble for name, ensemble in self.ensembles.items()}

        tested = {split: facts for split, facts in self.splits.items() if split not in (TRAIN, VAL)}

        def entry(measured: Measured) -> dict[str, Any]:  # each fold has a threshold and a calibration of its own
            return measured.plain() if self.folds == 1 else {"splits": measured.splits}

        plain: dict[str, Any] = without_nan(
            {
                "encoder": self.encoder,
                "folds": self.folds,
                "data": self.data,
                "left_out": self.left_out,
                "learned_from": self.learned_from,
                "bootstrap": {"repeats": self.repeats, "seed": self.seed, "level": LEVEL},
                "splits": self.splits,
                "models": {
                    name: {
                        "runs": self.runs[name],
                        "trained": {run: vars(self.trained[run]) for run in self.runs[name] if run in self.trained},
                        "each": {run: self.each[run].plain() for run in self.runs[name] if run in self.each},
                        "splits": model.splits,
                    }
                    for name, model in self.models.items()
                },
                "ensembles": {name: entry(ensemble) for name, ensemble in self.ensembles.items()},
                "controls": {name: entry(control) for name, control in self.controls.items()},
                "verdicts": {
                    split: {name: judge(model, self.controls, split, facts, name) for name, model in rivals.items()}
                    for split, facts in tested.items()
                },
                "networks": self._networks(tested),
                "missing": self.missing,
                "made_of": self.made_of,
            }
        )
        return plain

    def _networks(self, tested: Mapping[str, Mapping[str, Any]]) -> dict[str, Any] | None:
        """The networks beside the one that is best on validation; None where there are not several to choose from."""
        best = best_on_validation(self.models)
        if best is None or len(self.models) < 2:
            return None
        verdicts = {split: judge_networks(self.models, best, split, facts) for split, facts in tested.items()}
        return {
            "best": best.name,
            "chosen_by": {"split": VAL, "metric": best.metric, "value": best.value},
            "verdicts": verdicts,
        }

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write_json(path, self.plain())
