"""An export that is replaced by another, or half replaced: there is always one whole export."""

from __future__ import annotations

import multiprocessing
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from hpc.disk import folder as folder_module
from hpc.errors import SnwError
from snw_dist.embedding.store.header import StoreHeader
from snw_dist.model.build import build_model
from snw_dist.predict import export as export_module
from snw_dist.predict.export import check_still_there, read_export, verify_export
from tests.kit.export_tools import REPEATS, SECTION, written
from tests.kit.train_tools import WIDTH


def test_killed_at_any_moment_of_writing(
    tmp_path: Path, header: StoreHeader, record_property: Callable[[str, object], None]
) -> None:
    """There is always one whole export, also for who reads meanwhile, and nothing gathers beside it."""
    export, generator = written(tmp_path / "run" / "export", header, 0), random.Random(1)

    def write_for_ever() -> None:
        for seed in range(10**9):
            written(export, header, seed % 2)

    kills = max(20, REPEATS)
    for _ in range(kills):
        writer = multiprocessing.get_context("fork").Process(target=write_for_ever)
        writer.start()
        time.sleep(generator.random() * 0.05)
        verify_export(export)
        writer.kill()
        writer.join()
        read_export(export)
    written(export, header)
    assert [path.name for path in export.parent.iterdir()] == ["export"], "leftovers of killed writers"
    record_property("tried", kills)


def test_replaced_while_it_is_read(export: Path, header: StoreHeader, monkeypatch: pytest.MonkeyPatch) -> None:
    """The manifest of one and the weights of the other are no damage: the new one is read."""
    seeds = [6, 7]
    real = export_module.read_exported

    def read(*arguments: Any) -> bytes:
        if seeds:
            written(export, header, seeds.pop())
        return real(*arguments)

    monkeypatch.setattr(export_module, "read_exported", read)
    network, _ = read_export(export)
    expected = build_model(SECTION, WIDTH, 6)
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), expected.parameters(), strict=True))


def test_killed_between_two_renames(tmp_path: Path, header: StoreHeader, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a file system that cannot exchange two names the old one is moved aside first, and is not lost for good."""
    export = written(tmp_path / "export", header, 5)
    before = verify_export(export)

    class Killed(BaseException):
        pass

    real = Path.rename

    def rename(path: Path, target: Path) -> Path:
        if path.suffix == ".new":
            raise Killed
        return real(path, target)

    monkeypatch.setattr(folder_module, "_exchange", lambda *_: False)
    monkeypatch.setattr(folder_module.shutil, "rmtree", lambda *_, **__: None)  # a kill cleans nothing up
    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(Killed):
        written(export, header, 6)
    assert not export.exists()
    monkeypatch.undo()
    assert verify_export(export) == before
    monkeypatch.setattr(folder_module, "_exchange", lambda *_: False)
    written(export, header, 6)
    assert verify_export(export) != before
    assert [path.name for path in tmp_path.iterdir()] == ["export"]


def test_weights_that_were_replaced_after_loading(export: Path, header: StoreHeader) -> None:
    _, description = read_export(export)
    check_still_there(export, description["weights_sha256"])
    written(export, header, 6)
    with pytest.raises(SnwError, match="replaced while it was evaluated") as caught:
        check_still_there(export, description["weights_sha256"])
    assert caught.value.exit_code == 4
