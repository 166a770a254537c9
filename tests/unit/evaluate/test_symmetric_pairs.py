"""Pairs whose sides mean nothing, in evaluation and training: no order of the sides is seen anywhere."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from hpc.errors import InputError
from snw_dist.config import ModelSection
from snw_dist.data.prepared import Prepared, load_prepared
from snw_dist.data.trained import keys_by_use, pair_keys, rows_of, sequence_keys
from snw_dist.evaluate.controls.controls import DATA_CONTROLS, data_controls
from snw_dist.evaluate.measure.held_out import STRATA, pairs_of
from snw_dist.model.build import build_model
from snw_dist.model.pair import Side
from snw_dist.train.precheck import check_training
from tests.kit.evaluate_tools import pair_table, sequences
from tests.kit.tiny import configured, write_project

PROTEINS = {f"p{i}": sequence for i, sequence in enumerate(sequences(np.random.default_rng(1), 12))}


def prepared(rows: list[tuple[str, str, str]], symmetric: bool = True) -> Prepared:
    frame = pd.DataFrame(rows, columns=["ligand_id", "receptor_id", "split"])
    frame = frame.assign(label=1.0, positive=True, weight=1.0)
    summary = {"made_from": {"settings": {"data.symmetric": symmetric}}}
    return Prepared(PROTEINS, PROTEINS, frame, summary)


def exchanged(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(ligand=frame["receptor"], receptor=frame["ligand"])


def test_a_sequence_is_seen_whichever_side_it_stood_on() -> None:
    rows = [("p0", "p1", "train"), ("p1", "p0", "test"), ("p2", "p0", "test"), ("p2", "p3", "test")]
    assert list(pairs_of(prepared(rows))["stratum"][1:]) == list(STRATA)
    assert list(pairs_of(prepared(rows, symmetric=False))["stratum"][1:]) == [STRATA[2], STRATA[2], STRATA[2]]
    earlier = rows_of(prepared([("p3", "p9", "train")], symmetric=False))
    assert pairs_of(prepared(rows), [earlier])["stratum"][3] == STRATA[1]


def test_a_training_pair_is_known_by_a_record_of_either_order() -> None:
    first, second = sorted(("p2", "p3"), key=lambda name: sequence_keys([PROTEINS[name]])[0])
    now = prepared([("p0", "p1", "train"), (first, second, "test")])
    for pair in ((first, second), (second, first)):
        record = rows_of(prepared([(*pair, "train")], symmetric=False))
        assert keys_by_use([record], now.symmetric)[0].tolist() == [pair_keys(now)[1]]
    assert keys_by_use([record])[0].tolist() != [pair_keys(now)[1]]


@pytest.mark.parametrize("name", DATA_CONTROLS)
def test_no_control_sees_the_order_of_the_sides(name: str) -> None:
    rng = np.random.default_rng(2)
    pool = np.array(sequences(rng, 30))
    left, right = rng.integers(0, 30, (2, 120))
    label = (left % 3 == 0) * 0.6 + rng.random(120) * 0.4
    frame = pair_table(pool[left], pool[right], label, np.where(np.arange(120) < 80, "train", "test"))
    turned = frame.copy()
    some = rng.random(120) < 0.5
    turned.loc[some] = exchanged(frame)[some]
    one, other = (data_controls(given, [name], symmetric=True)[name].scores for given in (frame, turned))  # type: ignore[list-item,index]
    assert one.shape == (40,)
    held_out = exchanged(frame[80:])
    third = data_controls(pd.concat([frame[:80], held_out]), [name], symmetric=True)[name].scores  # type: ignore[list-item,index]
    assert np.allclose(one, third, atol=1e-12)
    if name in ("degree", "neighbour"):  # boosting bins rows in their order
        assert np.allclose(one, other, atol=1e-6)
    plain = [data_controls(given, [name])[name].scores for given in (frame, pd.concat([frame[:80], held_out]))]  # type: ignore[list-item,index]
    if name != "neighbour":
        assert not np.allclose(*plain)


@pytest.mark.parametrize("size", ["light", "base", "large"])
@pytest.mark.parametrize("training", [False, True])
def test_a_siamese_score_is_the_same_bits_either_way(size: str, training: bool) -> None:
    section = ModelSection(name="siamese", size=size, dropout=0.0)  # type: ignore[arg-type]
    model = build_model(section, 24, 1).train(training)
    draw = torch.Generator().manual_seed(0)
    sides = [
        Side(
            torch.randn(num, length, 24, generator=draw),
            torch.ones(num, length, dtype=torch.bool),
            torch.tensor(index),
            (length,) * num,
        )
        for num, length, index in ((3, 11, [0, 1, 2, 2]), (2, 30, [0, 1, 1, 0]))
    ]
    scores, gradients = [], []
    for order in (sides, sides[::-1]):
        model.zero_grad()
        output = model(*order)
        output.score.sum().backward()
        scores.append(output.score.detach())
        gradients.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    assert torch.equal(*scores)
    assert all(torch.allclose(a, b, rtol=1e-4, atol=1e-6) for a, b in zip(*gradients, strict=True))


def test_it_is_refused_before_a_job_and_a_change_of_it_is_one_of_the_data(tmp_path: Path) -> None:
    write_project(tmp_path)
    config = configured(tmp_path)
    check_training(config)
    symmetric = dataclasses.replace(config, data=dataclasses.replace(config.data, symmetric=True))
    check_training(symmetric)
    assert load_prepared(config.data_folder).symmetric
    with pytest.raises(InputError, match=r"model[.]name .pseudo_siamese. reads ligand and receptor differently"):
        check_training(dataclasses.replace(symmetric, model=dataclasses.replace(config.model, name="pseudo_siamese")))
