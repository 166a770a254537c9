"""Is this a checkpoint of training that can be taken up? Decided on rank 0, as a whole, before anything in it is used.

A manifest may have a valid digest and still be nonsense, by a fault of a program or on purpose: a step of 10^9 would
end the run as finished. Such a checkpoint counts as damaged, and the one before it is taken.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass as plain_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, StrictFloat, StrictInt, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from hpc.errors import CorruptError
from hpc.save.manifest import MANIFEST, MOST_ENTRIES, Checkpoint, checked, shortened, verify_checkpoint
from hpc.save.retention import Verify
from snw_dist.train.pieces import MOST_ELEMENTS, MOST_HEADER_BYTES, MOST_RANDOM_BYTES, Count, check_pieces
from snw_dist.train.portable import KINDS, file_name
from snw_dist.train.progress import Progress
from snw_dist.trained_run.changes import PARTS, differing, other_network


@plain_dataclass(frozen=True)
class Expected:
    """The present run. A checkpoint of the same settings must fit it; one of others is for the user to allow."""

    trajectory: Mapping[str, Any]
    num_steps: int
    parameters: Mapping[str, list[int]]
    """Shapes of the network's trained parameters."""


def _name(text: str) -> str:
    if not 0 < len(text) <= 1000 or not text.isprintable():
        raise ValueError("not a name")
    return text


Name = Annotated[str, AfterValidator(_name)]
Number = StrictInt | Annotated[StrictFloat, Field(allow_inf_nan=False)]


@dataclass(frozen=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class _State:
    num_files: Annotated[StrictInt, Field(ge=1, le=MOST_ENTRIES)]
    parameters: dict[Name, Annotated[list[Count], Field(max_length=8)]]
    adam_step: Annotated[Number, Field(ge=0)]
    loss_scale: dict[Literal["cur_scale", "cur_iter", "last_overflow_iter", "cur_hysteresis"], Number] | None


@dataclass(frozen=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class _Meta:
    progress: dict[str, Any]
    trajectory: dict[Name, Any]
    provenance: dict[str, Any]
    state: dict[str, Any]


def verifier(expected: Expected) -> Verify:
    """`verify_checkpoint` for checkpoints of training: also the meaning of the manifest, and what the files hold."""
    return functools.partial(_verify, expected=expected)


def _verify(path: Path, expected: Expected) -> Checkpoint:
    found = verify_checkpoint(path, lambda manifest: check_meta(manifest, expected))
    shapes = found.meta["state"]["parameters"]
    check_pieces([path / file_name(rank) for rank in range(len(found.files))], shapes)
    return found


def check_meta(found: Checkpoint, expected: Expected) -> None:
    """Raise `CorruptError` unless what the manifest says of a training state can be; no file is read."""
    file = found.path / MANIFEST
    meta = checked(_Meta, found.meta, file, "trajectory", "progress")
    state = checked(_State, meta.state, file, "parameters", "loss_scale")
    _check_progress(meta.progress, found.step, file)
    _check_state(state, found, file)
    _check_against(expected, meta, state, found.step, file)


def _check_progress(values: Mapping[str, Any], step: int, file: Path) -> None:
    known = {field.name for field in dataclasses.fields(Progress)}
    try:
        if unknown := set(values) - known:
            raise ValueError(f"unknown {shortened(min(unknown))!r}")
        # Through JSON, because plain values are taken strictly there: no text for a number.
        progress = TypeAdapter(Progress).validate_json(json.dumps(values), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        raise CorruptError(f"{file}: progress.{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    except ValueError as error:
        raise CorruptError(f"{file}: progress: {error}") from None
    numbers = [value for value in dataclasses.asdict(progress).values() if isinstance(value, int)]
    best = progress.best_step
    validated = progress.best_value is not None and math.isfinite(progress.best_value)
    if (
        progress.step != step
        or not all(0 <= number <= step for number in numbers)
        or (best is None) != (progress.best_value is None)
        or (best is not None and not validated)
        or progress.worse_in_a_row > step - (best or 0)
    ):
        raise CorruptError(f"{file}: a progress that cannot be at step {step}: {shortened(str(dict(values)))}")


def _check_state(state: _State, found: Checkpoint, file: Path) -> None:
    if set(found.files) != {file_name(rank) for rank in range(state.num_files)} or found.world_size != state.num_files:
        raise CorruptError(f"{file}: its files are not those of {state.num_files} ranks")
    if state.adam_step > found.step or state.adam_step != int(state.adam_step):
        raise CorruptError(f"{file}: {state.adam_step} steps of the optimiser cannot be at step {found.step}")
    if state.loss_scale is not None and not state.loss_scale.get("cur_scale", 1) > 0:
        raise CorruptError(f"{file}: a loss scale that is not above 0")
    elements = sum(math.prod(shape) for shape in state.parameters.values())
    least = 4 * len(KINDS) * elements
    most = least + state.num_files * (8 + MOST_HEADER_BYTES + 2 * MOST_RANDOM_BYTES)
    if elements > MOST_ELEMENTS or not least <= sum(found.files.values()) <= most:
        raise CorruptError(f"{file}: files of {sum(found.files.values()):,} bytes do not hold {elements:,} elements")


def _check_against(expected: Expected, meta: _Meta, state: _State, step: int, file: Path) -> None:
    present = json.loads(json.dumps(dict(expected.trajectory)))
    keys = differing(meta.trajectory, present)
    if not keys and step > expected.num_steps:
        raise CorruptError(f"{file}: step {step} of a run of {expected.num_steps} steps")
    if not other_network(keys) and state.parameters != expected.parameters:
        names = [name for name in state.parameters if state.parameters[name] != expected.parameters.get(name)]
        name = min([*names, *set(expected.parameters).difference(state.parameters)])
        raise CorruptError(f"{file}: {name!r} is not as in the network of these settings")
    parts = meta.trajectory.get(PARTS)
    counted = PARTS in keys and (parts is not None or len(keys) == 1)
    if counted and (not isinstance(parts, int) or isinstance(parts, bool) or parts < 1):
        raise CorruptError(f"{file}: {PARTS}: {shortened(repr(parts))}")
