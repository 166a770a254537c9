"""Rosetta results through the whole of `prepare`: labels, weights, what is saved."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hpc.errors import CorruptError
from snw_dist.data.ensure import ensure_prepared
from snw_dist.data.prepare import prepare
from snw_dist.data.prepared import Prepared, load_prepared
from tests.kit.data_inputs import LIGANDS, PAIRS, RECEPTORS, Inputs
from tests.kit.rosetta_inputs import score_file
from tests.kit.scored_inputs import DECOYS, FASTA, RANDOM, Scored, error_of, prepared_of


def _by_pair() -> Mapping[tuple[str, str], np.ndarray]:
    found: dict[tuple[str, str], list[float]] = {}
    for tag, scores in DECOYS.items():
        receptor, ligand, _ = tag.split("_")
        found.setdefault((ligand, receptor), []).append(scores["I_sc"])
    return {pair: np.sort(values) for pair, values in found.items()}


@pytest.mark.parametrize("per_receptor", [False, True])
@pytest.mark.parametrize("transform", ["minmax", "logistic", "rank"])
@pytest.mark.parametrize("aggregate", ["min", "mean_top", "boltzmann"])
def test_score_to_label_and_back(scored: Scored, transform: str, aggregate: str, per_receptor: bool) -> None:
    """A real-format score file of 1,000 decoys: exact to 1e-6 wherever the label is not clipped."""
    data = prepared_of(scored(transform=transform, aggregate=aggregate, per_receptor=per_receptor))
    assert len(data.pairs) == 100
    assert data.label_transform is not None
    assert data.scores is not None
    label, receptor = data.pairs["label"].to_numpy(), data.pairs["receptor_id"]
    back = data.label_transform.to_score(label, receptor)
    inside = (label > 0) & (label < 1)
    assert inside.mean() > 0.6
    assert np.abs(back - data.scores["score"])[inside].max() < 1e-6
    for pair, row in zip(_pairs(data), data.scores.itertuples(), strict=True):
        values = _by_pair()[pair]
        share = (
            np.exp(-values) / np.exp(-values).sum() if aggregate == "boltzmann" else np.r_[np.full(5, 0.2), np.zeros(5)]
        )
        mean = float((share * values).sum())
        assert row.score == pytest.approx(values[0] if aggregate == "min" else mean, abs=1e-9)
        assert row.spread == pytest.approx(np.sqrt((share * (values - mean) ** 2).sum()), abs=1e-6)
        assert row.decoys == 10
    if per_receptor:
        assert data.label_transform.of_receptor.keys() <= set(receptor)


def _pairs(data: Prepared) -> list[tuple[str, str]]:
    return list(zip(data.pairs["ligand_id"], data.pairs["receptor_id"], strict=True))


def test_lower_is_better_and_the_threshold_is_on_the_label(scored: Scored) -> None:
    data = prepared_of(scored())
    assert data.scores is not None
    assert np.corrcoef(data.scores["score"], data.pairs["label"])[0, 1] < -0.95
    assert (data.pairs["positive"] == (data.pairs["label"] >= 0.5)).all()


def test_the_transform_is_fitted_on_train_alone(scored: Scored) -> None:
    """Held-out scores are changed to absurd values, and no label of train and no curve changes."""
    before = prepared_of(scored())
    held_out = {pair for pair, split in zip(_pairs(before), before.pairs["split"], strict=True) if split != "train"}
    changed = {
        tag: scores | ({"I_sc": 900.0} if tuple(tag.split("_")[1::-1]) in held_out else {})
        for tag, scores in DECOYS.items()
    }
    after = prepared_of(scored(score_file(changed)))
    assert after.label_transform == before.label_transform
    train = (before.pairs["split"] == "train").to_numpy()
    assert (after.pairs["label"] == before.pairs["label"])[train].all()
    assert (after.pairs["label"][~train] == 0).all()


def test_weights_follow_the_noise_of_the_labels(scored: Scored) -> None:
    data = prepared_of(scored(aggregate="mean_top"))
    assert data.scores is not None
    assert data.label_transform is not None
    ids, score, spread = data.pairs["receptor_id"], data.scores["score"], data.scores["spread"]
    noise = (
        data.label_transform.to_label(score - spread, ids) - data.label_transform.to_label(score + spread, ids)
    ) / 2
    train = (data.pairs["split"] == "train").to_numpy()
    weight = 1 / (noise**2 + np.median(noise[train]) ** 2)
    np.testing.assert_allclose(data.pairs["weight"], weight / weight[train].mean())
    assert data.pairs["weight"].min() > 0
    assert data.pairs["weight"][train].mean() == pytest.approx(1)
    assert data.pairs["weight"].max() < 2.5 * data.pairs["weight"].median()


def test_one_decoy_is_of_unknown_noise(scored: Scored) -> None:
    single = {tag: scores for tag, scores in DECOYS.items() if tag.endswith("0001")}
    data = prepared_of(scored(score_file(single)))
    assert data.scores is not None
    assert data.scores["spread"].isna().all()
    assert (data.pairs["weight"] == 1).all()


def test_files_of_all_kinds_give_the_same_pairs(scored: Scored, inputs: Inputs, tmp_path: Path) -> None:
    """One score file, a CSV of decoys, and a table that names a file for each pair."""
    want = prepared_of(scored())
    rows = [(*tag.split("_")[1::-1], scores["I_sc"], tag) for tag, scores in DECOYS.items()]
    table = pd.DataFrame(rows, columns=["pep", "rec", "I_sc", "tag"])
    columns = {"ligand": "pep", "receptor": "rec"}
    config = inputs(
        **FASTA,
        pairs=table.to_csv(index=False),
        split=RANDOM,
        scores={"term": "I_sc"},
        columns=columns | {"decoy": "tag"},
    )
    _same(prepared_of(config), want)
    files = []
    for number, ((ligand, receptor), decoys) in enumerate(table.groupby(["pep", "rec"], sort=False)):
        folder = tmp_path / f"run{number}"
        folder.mkdir()
        lines = {f"S_{i:04d}": {"I_sc": score} for i, score in enumerate(decoys["I_sc"])}  # the same tags everywhere
        (folder / "score.sc").write_text(score_file(lines))
        files.append((ligand, receptor, f"run{number}/score.sc"))
    text = pd.DataFrame(files, columns=["pep", "rec", "scores"]).to_csv(index=False)
    config = inputs(
        **FASTA, pairs=text, split=RANDOM, scores={"term": "I_sc"}, columns=columns | {"score_file": "scores"}
    )
    _same(prepared_of(config), want)
    stamp = (config.data_folder / "summary.json").stat().st_mtime_ns
    ensure_prepared(config)
    assert (config.data_folder / "summary.json").stat().st_mtime_ns == stamp
    (tmp_path / "run7" / "score.sc").write_text(score_file({"S_0001": {"I_sc": -99.0}}))
    again = ensure_prepared(config)  # a score file that changes is noticed
    assert again.scores is not None
    assert again.scores["score"].min() == -99


def _same(found: Prepared, wanted: Prepared) -> None:
    pd.testing.assert_frame_equal(found.pairs, wanted.pairs)
    assert found.scores is not None
    assert wanted.scores is not None
    pd.testing.assert_frame_equal(found.scores, wanted.scores)
    assert found.label_transform == wanted.label_transform


def test_same_scores_same_bytes_and_counts_add_up(scored: Scored) -> None:
    config = scored(per_receptor=True, transform="rank")
    summary = prepare(config)
    first = {path.name: path.read_bytes() for path in config.data_folder.iterdir()}
    prepare(config)
    assert {path.name: path.read_bytes() for path in config.data_folder.iterdir()} == first
    assert {"scores.parquet", "label_transform.json"} <= first.keys()
    count = summary.counts["pairs"]
    assert (count.read, count.kept, count.merged, count.rejected) == (1000, 100, 900, 0)
    assert "score.sc: 1,000 decoys of 100 pairs; score: the lowest." in summary.notes


def test_equal_scores_are_refused(inputs: Inputs) -> None:
    pairs = re.sub(r"0\.\d", "3", PAIRS)
    assert "all 2 scores of the train split are equal" in error_of(
        inputs(LIGANDS, RECEPTORS, pairs, scores={"term": "label"})
    )


@pytest.mark.parametrize("name", ["scores.parquet", "label_transform.json"])
def test_damage_of_what_scores_add_is_found(scored: Scored, name: str) -> None:
    config = scored()
    prepare(config)
    path = config.data_folder / name
    path.write_bytes(path.read_bytes().replace(b"0", b"1"))
    with pytest.raises(CorruptError, match=name):
        load_prepared(config.data_folder)
