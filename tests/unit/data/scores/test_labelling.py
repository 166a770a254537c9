"""Rosetta results and affinities through the whole of `prepare`: labels, weights, what is saved, what is refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hpc.errors import CorruptError, InputError
from snw_dist.config import SnwConfig
from snw_dist.data.ensure import ensure_prepared
from snw_dist.data.prepare import prepare
from snw_dist.data.prepared import Prepared, load_prepared
from tests.kit.data_inputs import LIGANDS, PAIRS, RECEPTORS, Inputs
from tests.kit.rosetta_inputs import decoy_line, docking, score_file
from tests.kit.split_tools import random_sequences

DESCRIPTION = r"(?P<receptor>rec\d+)_(?P<ligand>pep\d+)_\d{4}"
DECOYS = docking(100, 10)  # 1,000 decoys: 10 of each pair of 10 receptors and 10 ligands
FASTA = {
    "ligands": "".join(f">pep{i}\n{s}\n" for i, s in enumerate(random_sequences(10, 9, 0))),
    "receptors": "".join(f">rec{i}\n{s}\n" for i, s in enumerate(random_sequences(10, 60, 1))),
}
RANDOM = {"method": "random"}
Scored = Callable[..., SnwConfig]


@pytest.fixture
def scored(inputs: Inputs) -> Scored:
    """Settings for a score file of `DECOYS`; keywords are those of `data.scores`."""

    def write(text: str | None = None, name: str = "score.sc", on_invalid: str = "error", **scores: Any) -> SnwConfig:
        return inputs(
            **FASTA,
            pairs=score_file(DECOYS) if text is None else text,
            names=("ligands.fasta", "receptors.fasta", name),
            split=RANDOM,
            scores={"term": "I_sc", "description": DESCRIPTION, **scores},
            on_invalid=on_invalid,
        )

    return write


def _prepared(config: SnwConfig) -> Prepared:
    prepare(config)
    return load_prepared(config.data_folder)


def _by_pair() -> Mapping[tuple[str, str], np.ndarray]:
    found: dict[tuple[str, str], list[float]] = {}
    for tag, scores in DECOYS.items():
        receptor, ligand, _ = tag.split("_")
        found.setdefault((ligand, receptor), []).append(scores["I_sc"])
    return {pair: np.sort(values) for pair, values in found.items()}


def _error(config: SnwConfig) -> str:
    with pytest.raises(InputError) as caught:
        prepare(config)
    assert not config.run_folder.exists()
    return str(caught.value)


@pytest.mark.parametrize("per_receptor", [False, True])
@pytest.mark.parametrize("transform", ["minmax", "logistic", "rank"])
@pytest.mark.parametrize("aggregate", ["min", "mean_top", "boltzmann"])
def test_score_to_label_and_back(scored: Scored, transform: str, aggregate: str, per_receptor: bool) -> None:
    """A real-format score file of 1,000 decoys: exact to 1e-6 wherever the label is not clipped."""
    data = _prepared(scored(transform=transform, aggregate=aggregate, per_receptor=per_receptor))
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
    data = _prepared(scored())
    assert data.scores is not None
    assert np.corrcoef(data.scores["score"], data.pairs["label"])[0, 1] < -0.95
    assert (data.pairs["positive"] == (data.pairs["label"] >= 0.5)).all()


def test_the_transform_is_fitted_on_train_alone(scored: Scored) -> None:
    """Held-out scores are changed to absurd values, and no label of train and no curve changes."""
    before = _prepared(scored())
    held_out = {pair for pair, split in zip(_pairs(before), before.pairs["split"], strict=True) if split != "train"}
    changed = {
        tag: scores | ({"I_sc": 900.0} if tuple(tag.split("_")[1::-1]) in held_out else {})
        for tag, scores in DECOYS.items()
    }
    after = _prepared(scored(score_file(changed)))
    assert after.label_transform == before.label_transform
    train = (before.pairs["split"] == "train").to_numpy()
    assert (after.pairs["label"] == before.pairs["label"])[train].all()
    assert (after.pairs["label"][~train] == 0).all()


def test_weights_follow_the_noise_of_the_labels(scored: Scored) -> None:
    data = _prepared(scored(aggregate="mean_top"))
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
    data = _prepared(scored(score_file(single)))
    assert data.scores is not None
    assert data.scores["spread"].isna().all()
    assert (data.pairs["weight"] == 1).all()


def test_files_of_all_kinds_give_the_same_pairs(scored: Scored, inputs: Inputs, tmp_path: Path) -> None:
    """One score file, a CSV of decoys, and a table that names a file for each pair."""
    want = _prepared(scored())
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
    _same(_prepared(config), want)
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
    _same(_prepared(config), want)
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


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda text: text + "SCORE: 1 2 3\n", r"score\.sc:1003: 3 columns, the names at line 2 are 36\. Correct or"),
        (lambda text: text + "junk\n", r"score\.sc:1003: not a SCORE line\. Correct or remove the line\."),
        (
            lambda text: text.replace("rec0_pep0_0001", "rec0-pep0"),
            r"score\.sc:3: the description 'rec0-pep0' does not match",
        ),
        (
            lambda text: text.replace("rec0_pep0_0001", "rec77_pep0_0001"),
            r"score\.sc:3: .*receptor id 'rec77' is not in",
        ),
        (
            lambda text: text + decoy_line("rec0_pep0_0001", {"I_sc": 5}),
            r"score\.sc:3: pep0/rec0: repeated decoy: score -?[\d.]+ here, 5\.0 at line 1003\. Give each run a name",
        ),
        (
            lambda text: text + decoy_line("rec0_pep0_0001", {"I_sc": 5}),
            r"score\.sc:1003: pep0/rec0: repeated decoy: score 5",
        ),
        (
            lambda text: text.replace(f"{DECOYS['rec0_pep0_0001']['I_sc']:12.3f}", "         nan"),
            r":3: .*score 'nan' is not f",
        ),
        (
            lambda text: text.replace(f"{DECOYS['rec0_pep0_0001']['I_sc']:12.3f}", "         low"),
            r":3: .*'low' is not a num",
        ),
    ],
)
def test_bad_lines(scored: Scored, spoil: Callable[[str], str], message: str) -> None:
    text = spoil(score_file(DECOYS))
    error = _error(scored(text))
    assert re.search(message, error), error
    summary = prepare(scored(text, on_invalid="skip"))
    assert summary.counts["pairs"].rejected in (1, 2)
    assert summary.counts["pairs"].kept == 100


def test_a_decoy_given_twice_counts_once(scored: Scored) -> None:
    text = score_file(DECOYS)
    summary = prepare(scored(text + text))
    assert (summary.counts["pairs"].merged, summary.counts["pairs"].kept) == (1900, 100)
    assert "score.sc: 1,000 repeated decoys (same name, same score) counted once." in summary.notes


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            {"scores": {"term": "I_sc"}},
            r"a Rosetta file needs data\.scores\.term, such as I_sc, and data\.scores\.desc",
        ),
        ({"scores": {}}, r"a Rosetta file needs data\.scores\.term"),
        ({"split": {}}, r'a Rosetta file has no splits\. Have one made: data\.split\.method = "ligand_cold"'),
        ({"columns": {"binary": "b"}}, r"a Rosetta file has no such column\. Set data\.columns\.binary to null"),
    ],
)
def test_what_a_score_file_cannot_have(inputs: Inputs, data: dict[str, Any], message: str) -> None:
    settings = {"split": RANDOM, "scores": {"term": "I_sc", "description": DESCRIPTION}} | data
    config = inputs(**FASTA, pairs=score_file(DECOYS), names=("l.fasta", "r.fasta", "a.sc"), **settings)
    assert re.search(message, _error(config))


def test_a_description_for_a_table(inputs: Inputs) -> None:
    config = inputs(scores={"term": "label", "description": DESCRIPTION})
    assert (
        "data.scores.description is for a Rosetta file as data.pairs, and this is none: it does not end in .sc, "
        in _error(config)
    )


def test_a_missing_term_names_those_there_are(scored: Scored, inputs: Inputs) -> None:
    assert re.search(r"score\.sc:2: no term 'dG'; the terms are: total_score, ", _error(scored(term="dG")))
    assert "no column 'I_sc'; the columns are: ligand_id" in _error(inputs(scores={"term": "I_sc"}))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("pep1,recB,none.sc,train", "the score file 'none.sc' is not there. Correct the file or remove the row."),
        ("pep1,recB,,train", "the name of the score file is empty."),
        (
            "pep1,recB,pairs.csv,train",
            "the score file 'pairs.csv' is no Rosetta file: it does not end in .sc, .fasc, .score, .silent, .out, ",
        ),
        ("pep1,recB,a.sc,train", "the score file 'a.sc' is also named at line 2."),
        ("pep1,recB,empty.sc,train", "empty.sc:1: no SCORE: lines of decoys."),
    ],
)
def test_bad_score_files_of_a_table(inputs: Inputs, tmp_path: Path, row: str, reason: str) -> None:
    header, *good = PAIRS.replace("label", "file").splitlines()
    names = dict(zip("abcd", (0.9, 0.1, 0.7, 0.2), strict=True))
    for name, label in names.items():
        (tmp_path / f"{name}.sc").write_text(score_file({"S_1": {"I_sc": -label}, "S_2": {"I_sc": 3 - label}}))
    (tmp_path / "empty.sc").touch()
    rows = [re.sub(r"0\.\d", f"{name}.sc", line) for name, line in zip(names, good, strict=True)]
    settings: dict[str, Any] = {"scores": {"term": "I_sc"}, "columns": {"score_file": "file"}}
    error = _error(inputs(pairs="\n".join([header, *rows, row]), **settings))
    assert f"pairs.csv:6: {reason}" in error
    config = inputs(pairs="\n".join([header, *rows, row]), on_invalid="skip", **settings)
    data = _prepared(config)
    assert data.scores is not None
    assert data.scores["score"].tolist() == [-0.9, -0.1, -0.7, -0.2]
    assert data.pairs["split"].tolist() == ["train", "train", "val", "test"]
    assert reason[:20] in (config.data_folder / "rejects.csv").read_text()


def test_a_bad_line_of_a_named_file_is_told_there(inputs: Inputs, tmp_path: Path) -> None:
    (tmp_path / "x.sc").write_text(score_file({"S_1": {"I_sc": -1}}) + "junk\n")
    pairs = "ligand_id,receptor_id,file\npep1,recA,x.sc\n"
    settings: dict[str, Any] = {"scores": {"term": "I_sc"}, "columns": {"score_file": "file"}, "split": RANDOM}
    assert f"{tmp_path}/x.sc:4: not a SCORE line. Correct or remove the line." in _error(
        inputs(pairs=pairs, **settings)
    )


def test_a_name_is_that_of_a_decoy_of_its_pair(inputs: Inputs) -> None:
    """Every run calls its first decoy S_1; only within a pair is it there twice."""
    rows = [f"pep{i},rec{r},{-i * s},S_{s}\n" for i, r in ((1, "A"), (2, "A"), (3, "B"), (4, "B")) for s in (1, 2)]
    pairs = "ligand_id,receptor_id,score,tag\n" + "".join(rows)
    settings: dict[str, Any] = {"scores": {"term": "score"}, "columns": {"decoy": "tag"}, "split": RANDOM}
    message = _error(inputs(pairs=f"{pairs}pep1,recA,-7,S_1\npep1,recA,-7,\n", **settings))
    assert "pairs.csv:10: pep1/recA: repeated decoy: score -7.0 here, -1.0 at line 2. Give each run a name" in message
    assert "pairs.csv:11: pep1/recA: the name of the decoy is empty. Correct the cell" in message
    data = _prepared(inputs(pairs=pairs, **settings))
    assert data.scores is not None
    assert data.scores["score"].tolist() == [-2, -4, -6, -8]


def test_decoys_of_a_pair_agree_on_their_split(inputs: Inputs) -> None:
    pairs = PAIRS + "pep1,recA,-5,test\n"
    message = _error(inputs(pairs=pairs, scores={"term": "label"}))
    assert re.search(r"pairs\.csv:6: pep1/recA: contradictory pair: split test here, train at line 2\. Keep", message)


AFFINITIES = (
    "ligand_id,receptor_id,ic50,inequality,split\n"
    "pep1,recA,50,=,train\npep2,recA,30000,>,train\npep3,recA,10,<,train\npep4,recA,100,>,train\n"
    "pep3,recB,2000,<,val\npep2,recB,5000,=,val\npep4,recB,490,,test\n"
)
AFFINITY = {
    "scores": {"term": "ic50", "transform": "log_affinity"},
    "columns": {"inequality": "inequality"},
    "positive_from": 0.426,
}


def test_affinities_with_inequalities(inputs: Inputs) -> None:
    """> 100 nM and < 2,000 nM leave open whether the pair binds with 500 nM; > 30,000 and < 10 do not."""
    config = inputs(pairs=AFFINITIES, **AFFINITY)
    summary = prepare(config)
    data = load_prepared(config.data_folder)
    assert data.scores is not None
    assert data.scores["score"].tolist() == [50, 30_000, 10, 5000, 490]
    assert data.scores["inequality"].tolist() == ["=", ">", "<", "=", "="]
    np.testing.assert_allclose(data.pairs["label"], 1 - np.log(data.scores["score"]) / np.log(50_000))
    assert data.pairs["positive"].tolist() == [True, False, True, False, True]
    assert (data.pairs["weight"] == 1).all()
    dropped = pd.read_parquet(config.data_folder / "dropped.parquet")
    assert dropped.to_numpy().tolist() == [["pep4", "recA", "undetermined"], ["pep3", "recB", "undetermined"]]
    assert summary.dropped == {"undetermined": 2}
    assert "2 of 7 pairs dropped: undetermined." in summary.notes


def test_a_binary_column_decides_what_an_inequality_leaves_open(inputs: Inputs) -> None:
    lines = AFFINITIES.splitlines()
    pairs = "\n".join([lines[0] + ",binds"] + [f"{line},{i % 2}" for i, line in enumerate(lines[1:])])
    columns = {"inequality": "inequality", "binary": "binds"}
    data = _prepared(inputs(pairs=pairs, **AFFINITY | {"columns": columns}))
    assert data.pairs["positive"].tolist() == [False, True, False, True, False, True, False]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("pep1,recB,0,=,train", "the affinity '0' is not above 0. Correct"),
        ("pep1,recB,-3,=,train", "the affinity '-3' is not above 0. Correct"),
        ("pep1,recB,5,~,train", "the inequality '~' is not one of <, <=, =, >=, >. Correct"),
        ("pep1,recA,51,=,train", "contradictory pair: affinity 51.0 here, 50.0 at line 2."),
        ("pep1,recA,50,<,train", "contradictory pair: inequality < here, = at line 2."),
    ],
)
def test_bad_affinities(inputs: Inputs, row: str, reason: str) -> None:
    assert reason in _error(inputs(pairs=AFFINITIES + row + "\n", **AFFINITY))


def test_equal_scores_are_refused(inputs: Inputs) -> None:
    pairs = re.sub(r"0\.\d", "3", PAIRS)
    assert "all 2 scores of the train split are equal" in _error(
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
