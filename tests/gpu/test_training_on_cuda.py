"""Networks, resume and tuned encoders on a CUDA device, by ranks that a test starts."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pytest
import torch

from hpc.ranks.communicator import Communicator
from snw_dist.config import ModelName, ModelSection, Precision, SnwConfig
from snw_dist.model.build import build_model
from snw_dist.model.pair import Side
from snw_dist.train.meter import Meter
from tests.bench.elastic import STAGES, Case, Setting, differences, embedded, name_of

CUDA = torch.device("cuda", 0)
TOLERANCE = {"fp32": 1e-4, "bf16": 2e-2, "fp16": 2e-2}
"""Of the loss after a resume: some of CUDA's sums have no fixed order."""
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.training,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> SnwConfig:
    """A small run with its store, which all tests of this file train on."""
    return embedded(tmp_path_factory.mktemp("store"))


def on_cuda(store: SnwConfig, folder: Path, precision: Precision, mode: Literal["frozen", "lora", "full"]) -> SnwConfig:
    """Trained in `folder`, on the data and the store of `store`."""
    data = dataclasses.replace(store.data, folder=str(store.data_folder))
    train = dataclasses.replace(store.train, device="cuda", precision=precision, encoder_mode=mode)
    return dataclasses.replace(store, run=dataclasses.replace(store.run, folder=str(folder)), data=data, train=train)


# Each of the twelve changes of stage in one arithmetic. A checkpoint does not know of stages, so that reading it in one
# does not depend on which wrote it; all sixteen in all three: `python -m tests.bench.elastic --device cuda`.
@pytest.mark.parametrize(("precision", "further"), [("fp32", 1), ("fp16", 2), ("bf16", 3)])
def test_the_loss_goes_on_from_any_stage_in_another(
    store: SnwConfig, tmp_path: Path, precision: Precision, further: int
) -> None:
    cases = [Case(Setting(1, stage), Setting(1, (stage + further) % len(STAGES))) for stage in STAGES]
    found = differences(on_cuda(store, tmp_path, precision, "frozen"), cases, 6, tmp_path)
    print({name_of(case): f"{value:.1e}" for case, value in found.items()})  # noqa: T201 - for whoever runs it
    assert max(found.values()) <= TOLERANCE[precision]


@pytest.mark.parametrize(("mode", "precision"), [("lora", "fp32"), ("full", "bf16")])
def test_a_tuned_encoder_goes_on_in_another_stage(
    store: SnwConfig, tmp_path: Path, mode: Literal["lora", "full"], precision: Precision
) -> None:
    cases = [Case(Setting(1, source), Setting(1, target)) for source, target in ((0, 3), (3, 2))]
    found = differences(on_cuda(store, tmp_path, precision, mode), cases, 4, tmp_path)
    print({name_of(case): f"{value:.1e}" for case, value in found.items()})  # noqa: T201 - for whoever runs it
    assert max(found.values()) <= TOLERANCE[precision]


@pytest.mark.parametrize("name", get_args(ModelName))
def test_every_network_scores_and_learns_as_on_the_cpu(monkeypatch: pytest.MonkeyPatch, name: ModelName) -> None:
    section = dataclasses.replace(ModelSection(), name=name, dropout=0.0)
    model = build_model(section, 48, seed=1)
    generator = torch.Generator().manual_seed(1)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)  # on by default for convolutions, with three digits
    found = []
    sides = [
        (torch.tensor(lengths), torch.tensor(pairs))
        for lengths, pairs in (([8, 9, 30], [0, 1, 2, 2]), ([41, 180], [0, 0, 1, 1]))
    ]
    states = [torch.randn(len(lengths), int(lengths.max()), 48, generator=generator) for lengths, _ in sides]
    for device in (torch.device("cpu"), CUDA):
        placed = model.to(device)
        placed.zero_grad()
        batch = []
        for x, (lengths, pairs) in zip(states, sides, strict=True):
            mask = torch.arange(x.shape[1]) < lengths[:, None]
            if device.type == "cuda":  # as batches are made for it: nobody writes the padding
                x = x.masked_fill(~mask[..., None], torch.nan)
            batch.append(Side(x.to(device), mask.to(device), pairs.to(device), tuple(lengths.tolist())))
        output = placed(*batch)
        (output.score * torch.arange(1.0, 5.0, device=device)).sum().backward()
        gradient = torch.cat([p.grad.flatten().cpu() for p in placed.parameters() if p.grad is not None])
        found.append((output.score.detach().cpu(), gradient))
    torch.testing.assert_close(found[1][0], found[0][0], atol=1e-4, rtol=1e-4)
    assert (found[1][1] - found[0][1]).norm() <= 1e-3 * found[0][1].norm() + 1e-7


@pytest.mark.parametrize("precision", get_args(Precision))
def test_the_share_of_the_limit_is_measured_without_a_trace(precision: Precision) -> None:
    network, lengths, first = build_model(ModelSection(), 64, seed=1), np.array([9, 200]), np.array([0])
    drawn = torch.get_rng_state(), torch.cuda.get_rng_state(CUDA)
    meter = Meter.of(network, 64, precision, CUDA, Communicator.alone())
    assert all(map(torch.equal, drawn, (torch.get_rng_state(), torch.cuda.get_rng_state(CUDA))))
    assert all(parameter.device.type == "cpu" for parameter in network.parameters())
    assert 0 < meter.share(meter.operations(lengths, first, first + 1, [first]), seconds=1.0) < 1
