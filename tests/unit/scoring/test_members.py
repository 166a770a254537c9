"""The networks that are loaded are those that were compared with bundle.json."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from hpc.errors import CorruptError
from snw_dist.bundle.read import open_bundle
from snw_dist.model.pair import Parts, Side
from snw_dist.scoring.members import load_members, pairs_at_once
from snw_dist.scoring.sequences import Rows
from tests.kit.bundle_tools import bundled, measured_run, put, sign


def test_weights_that_are_exchanged_after_they_were_compared(made: Path, tmp_path: Path) -> None:
    """By those of another bundle, which are whole in themselves."""
    shutil.copytree(made, tmp_path / "bundle")
    opened = open_bundle(tmp_path / "bundle")
    other = bundled(measured_run(tmp_path, run={"name": "tiny", "seed": 7}), tmp_path / "other")
    shutil.rmtree(tmp_path / "bundle" / "members")
    shutil.copytree(other / "members", tmp_path / "bundle" / "members")
    with pytest.raises(CorruptError, match=r"not the weights that bundle\.json names"):
        load_members(opened)


def test_a_width_that_is_not_that_of_the_networks(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path / "bundle")
    sign(tmp_path / "bundle", lambda content: content["rows"].update(width=7))
    with pytest.raises(CorruptError, match=r"tiny: reads rows of 128 values, and bundle\.json names rows of 7\."):
        load_members(open_bundle(tmp_path / "bundle"))


@pytest.mark.parametrize("name", ["manifest.json", "model.safetensors", "calibration.json"])
def test_damage_inside_a_member_is_told_with_what_can_be_done(made: Path, tmp_path: Path, name: str) -> None:
    """Whoever was given the bundle can neither train nor evaluate."""
    shutil.copytree(made, tmp_path / "bundle")
    put(tmp_path / "bundle", f"members/tiny/{name}", b"{}")
    with pytest.raises(CorruptError, match=rf"{name}: .*\. Fetch the bundle again\.$") as caught:
        load_members(open_bundle(tmp_path / "bundle"))
    assert "snw-dist" not in str(caught.value)


@pytest.mark.parametrize(
    ("pairs", "residues", "found"),
    [(8192, 1 << 16, 8192), (8192, 1 << 18, 4096), (8192, 1 << 24, 512), (10, 100, 512), (8192, 1 << 17, 8192)],
)
def test_as_many_pairs_at_once_as_have_few_sequences(pairs: int, residues: int, found: int) -> None:
    lengths = np.array([residues - 1, 1, 1000])  # the last is of no pair
    assert pairs_at_once(np.zeros(pairs, np.int64), np.ones(pairs, np.int64), lengths) == found


def test_each_sequence_goes_through_the_network_once(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """512 pairs at a time took each ligand once for nearly every pair."""
    [member] = load_members(open_bundle(made))
    rows = Rows([torch.randn(4, 128) for _ in range(64)])
    ligand, receptor = (one.ravel() for one in np.meshgrid(np.arange(40), np.arange(40, 64)))
    passes: list[int] = []
    for name in ("ligands", "receptors"):
        make = getattr(member.network, name)

        def counting(side: Side, make: Callable[[Side], Parts] = make) -> Parts:
            passes.append(len(side.states))
            return make(side)

        monkeypatch.setattr(member.network, name, counting)
    found = member.scores(ligand, receptor, rows, torch.device("cpu"))
    assert len(found) == 960
    assert sum(passes) == 64 + 32  # 40 ligands and 24 receptors, each filled up to 32 at a time


def test_what_is_loaded(made: Path) -> None:
    [member] = load_members(open_bundle(made))
    assert (member.name, member.max_length, member.tuned) == ("tiny", 2048, False)
    assert not member.network.training
    np.testing.assert_array_equal(np.diff(member.calibration(np.linspace(0, 1, 9))) >= 0, True)
