"""Trackers: where a run is shown beside others, while it goes and afterwards. Only rank 0 has any.

None of them is needed: `metrics.jsonl` has every number. So a tracker that fails is given up, with a line that says so,
and training goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from hpc.told import warn
from snw_dist.arrays import BoolArray, FloatArray
from snw_dist.config import SnwConfig, config_to_dict
from snw_dist.train.inputs import Inputs

Settings = Mapping[str, bool | int | float | str]
"""Key of the configuration -> its value."""


class Tracker(Protocol):
    """What a run tells of itself."""

    def add(self, kind: str, values: Mapping[str, float | None], step: int) -> None:
        """Figures of a step or of a validation; None where one is not known."""

    def scores(self, scores: FloatArray, positive: BoolArray, step: int) -> None:
        """Scores of all pairs of a validation, and which are positive: [num_pairs] each."""

    def forget_validation(self, step: int) -> None:
        """The validation after this step is about to be made again: it was made by a job that has ended since."""

    def committed(self, step: int) -> None:
        """The state of this step is saved: no later job will repeat it, or a step before it."""

    def end(self, best: Mapping[str, float], inputs: Inputs, step: int) -> None:
        """Training has ended at this step; `best`: the best validation, by `best/NAME`."""

    def close(self) -> None:
        """This job ends; the run may go on in another."""


class Trackers:
    """Several trackers; one that fails is left alone from there on."""

    def __init__(self, trackers: Mapping[str, Callable[[], Tracker]]) -> None:
        """By their names; each is made here."""
        self._trackers: dict[str, Tracker] = {}
        for name, make in trackers.items():
            self._tried(name, lambda name=name, make=make: self._trackers.update({name: make()}))  # type: ignore[misc]

    def each(self, told: Callable[[Tracker], None]) -> None:
        """Tell all of them."""
        for name, tracker in list(self._trackers.items()):
            self._tried(name, lambda tracker=tracker: told(tracker))  # type: ignore[misc]

    def _tried(self, name: str, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:  # noqa: BLE001 - whatever a package of others raises, training goes on
            self._trackers.pop(name, None)
            given_up(name, error)


def given_up(name: str, error: Exception) -> None:
    """Say that a tracker is left out from here on."""
    said = next(iter(str(error).strip().splitlines()), "")
    warn(f"{name}: given up, {type(error).__name__}: {said}. Training goes on; metrics.jsonl has every number.")


def settings_of(config: SnwConfig) -> dict[str, bool | int | float | str]:
    """The settings that decide a network, flat; those that are null are left out."""
    plain = config_to_dict(config)
    chosen = {"run": ("seed",), "encoder": ("name",), "model": tuple(plain["model"]), "train": tuple(plain["train"])}
    flat = {f"{section}.{name}": plain[section][name] for section, names in chosen.items() for name in names}
    return {key: value for key, value in flat.items() if isinstance(value, bool | int | float | str)}
