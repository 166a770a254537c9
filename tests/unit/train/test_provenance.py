"""What made a result."""

from __future__ import annotations

import importlib.metadata

import pytest
import torch

from snw_dist.train.provenance import provenance


def test_a_run_without_the_package_that_submits_jobs_has_its_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    """An image has no submitit: training in one ended with a traceback."""

    def version(package: str) -> str:
        if package == "submitit":
            raise importlib.metadata.PackageNotFoundError(package)
        return f"{package} 1"

    monkeypatch.setattr(importlib.metadata, "version", version)
    versions = provenance({}, 1, torch.device("cpu"), {})["versions"]
    assert (versions["submitit"], versions["torch"]) == ("not installed", "torch 1")
