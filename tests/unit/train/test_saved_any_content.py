"""Checkpoints of training with valid digests and any content: taken as a whole or passed over."""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hpc.errors import InputError, SnwError
from hpc.save.checkpoint import find_checkpoint
from snw_dist.train.portable import KINDS
from snw_dist.train.saved import verifier
from snw_dist.trained_run.changes import Change as Allowed
from snw_dist.trained_run.changes import change_of, differing
from snw_dist.trained_run.resumable import check_resumable
from tests.kit.harm import EXAMPLES, flipped, little_memory, mutated
from tests.kit.saved_tools import (
    ALONE,
    EXPECTED,
    STATE,
    TRAJECTORY,
    header_of,
    read,
    sign,
    take_up,
    with_header,
    write_file,
)


def outcome(root: Path, whole: torch.Tensor | None) -> None:
    """The newest is taken as a whole, or the one before; or the settings in it are another run's, told in one line."""
    found = find_checkpoint(root, ALONE, verifier(EXPECTED))
    assert found is not None
    if found.meta["trajectory"] != TRAJECTORY:
        with contextlib.suppress(SnwError):
            check_resumable(found.meta["trajectory"], TRAJECTORY, False, False, 20, lambda: "other pairs")
    if any(change_of(key) is Allowed.NEVER for key in differing(found.meta["trajectory"], TRAJECTORY)):
        with pytest.raises(InputError, match="No option continues"):
            take_up(found)
        return
    masters = take_up(found)
    assert masters.isfinite().all()
    if found.step == 76 and whole is not None:
        assert torch.equal(masters.sort().values, whole.sort().values)


def property_of(strategy: st.SearchStrategy[Any], check: Callable[[Any], None]) -> None:
    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(strategy)
    def run(value: Any) -> None:
        check(value)

    run()


@pytest.mark.timeout(60 + EXAMPLES)
def test_any_signed_content_is_taken_as_a_whole_or_passed_over(
    newest: Path, record_property: Callable[[str, object], None]
) -> None:
    found = find_checkpoint(newest.parent, ALONE, verifier(EXPECTED))
    assert found is not None
    whole = take_up(found)
    manifest, data = read(newest), (newest / STATE).read_bytes()
    header, rest = header_of(data)
    header["__metadata__"]["pieces"] = json.loads(header["__metadata__"]["pieces"])
    tried = 0

    def count(same_tensors: bool = True) -> None:
        nonlocal tried
        tried += 1
        outcome(newest.parent, whole if same_tensors else None)

    def of_manifest(changed: Any) -> None:
        if isinstance(changed, dict):
            sign(newest, changed)
            count()

    def of_meta(changed: Any) -> None:
        of_manifest(manifest | {"meta": changed})

    def of_header(changed: Any) -> None:
        changed = copy.deepcopy(changed)
        inside = changed.get("__metadata__") if isinstance(changed, dict) else None
        if isinstance(inside, dict) and "pieces" in inside:
            inside["pieces"] = json.dumps(inside["pieces"])
        sign(newest, manifest)
        write_file(newest, STATE, with_header(changed, rest))
        # Masters and moments in each other's place are a state like any other.
        count(isinstance(changed, dict) and all(changed.get(kind) == header[kind] for kind in KINDS))

    def of_bytes(seed: int) -> None:
        sign(newest, manifest)
        write_file(newest, STATE, flipped(data[: len(data) - len(rest)], seed) + rest)
        count(same_tensors=False)

    with little_memory():
        property_of(mutated(manifest), of_manifest)
        property_of(mutated(manifest["meta"]), of_meta)
        (newest / STATE).write_bytes(data)
        property_of(mutated(header), of_header)
        property_of(
            mutated(header["__metadata__"]["pieces"]),
            lambda pieces: of_header(header | {"__metadata__": {"pieces": pieces}}),
        )
        property_of(st.integers(0, 2**32), of_bytes)
    record_property("tried", tried)
