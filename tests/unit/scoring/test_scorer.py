"""`PairScorer` gives the scores of `evaluate`, for every network and from any place, and says what it cannot do."""

from __future__ import annotations

import json
import pickle
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import snw_dist
from hpc.errors import CorruptError, EnvironmentProblem, InputError
from snw_dist import PairScorer
from snw_dist.config import SnwConfig
from snw_dist.embedding.encoder import Encoder
from snw_dist.scoring import scorer as scorer_module
from tests.kit.bundle_tools import bundled, measured_pairs, measured_run, put, with_model

RECEPTOR = "GSHSMRYFFTSVSRPGRGEPRFIAVGYVDDTQFVRFDSDAASQRMEPR"


@pytest.fixture(scope="module")
def scorer(made: Path) -> PairScorer:
    return PairScorer.load(made)


NETWORKS = ("siamese", "pseudo_siamese", "pair_of_pairs", "cross_attention", "triplet", "changeformer")


@pytest.mark.parametrize(
    ("network", "mode", "dtype"),
    [
        *((network, "frozen", "float16") for network in NETWORKS),
        *((network, mode, "float32") for network in ("siamese", "cross_attention") for mode in ("lora", "full")),
        *(("siamese", "frozen", dtype) for dtype in ("float32", "bfloat16")),
    ],
)
def test_elsewhere_the_scores_are_those_of_the_evaluation(network: str, mode: str, dtype: str, tmp_path: Path) -> None:
    """Another path with blanks and umlauts, read-only, and the run folder gone."""
    config = measured_run(tmp_path, dtype, **with_model(network, encoder_mode=mode))
    expected = measured_pairs(config)
    folder = tmp_path / "für Zoë, 2. Versuch" / "das Bündel"
    folder.parent.mkdir()
    shutil.move(bundled(config, tmp_path / "bundle"), folder)
    shutil.rmtree(config.run.folder)
    shutil.rmtree(config.store_path)
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        loaded = PairScorer.load(folder, device="cpu")
        found = loaded.score(expected["ligand"].tolist(), expected["receptor"].tolist())
    finally:
        for path in [folder, *folder.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)
    assert loaded.loading.difference == 0
    np.testing.assert_array_equal(found.score, expected["score"])
    np.testing.assert_allclose(found.probability, expected["probability"], rtol=0, atol=1e-5)
    assert (loaded.bundle.says.members["tiny"].tuned, loaded._rows is None) == (mode != "frozen", mode != "frozen")


def test_several_members_are_the_ensemble_of_the_comparison(several: SnwConfig, tmp_path: Path) -> None:
    loaded = PairScorer.load(bundled(several, tmp_path / "out", "all"))
    expected = measured_pairs(several, "compare/ensemble_all.parquet")
    found = loaded.score(expected["ligand"].tolist(), expected["receptor"].tolist())
    np.testing.assert_allclose(found.score, expected["score"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(found.probability, expected["probability"], rtol=0, atol=1e-5)
    for name in ("siamese-1", "cross_attention-2"):
        own = measured_pairs(several, f"compare/run_tiny-{name}.parquet")
        np.testing.assert_array_equal(found.members[name], own["score"])
        np.testing.assert_allclose(found.probabilities[name], own["probability"], rtol=0, atol=1e-5)
    record = json.loads((several.run_folder / "compare" / "comparison.json").read_text())
    assert loaded.threshold == record["ensembles"]["all"]["threshold"]


def test_one_against_many_on_either_side(scorer: PairScorer) -> None:
    ligands = ["SIINFEKL", "GILGFVFTL", "NLVPMVATV"]
    many = scorer.score(ligands, [RECEPTOR] * 3).score
    np.testing.assert_array_equal(scorer.score(ligands, RECEPTOR).score, many)
    np.testing.assert_array_equal(scorer.score(ligands, [RECEPTOR]).score, many)
    np.testing.assert_array_equal([scorer.score(one, RECEPTOR).score[0] for one in ligands], many)
    assert scorer.score(RECEPTOR, ligands).score.shape == (3,)
    assert scorer.score([], []).score.shape == scorer.score("ACD", []).probability.shape == (0,)
    with pytest.raises(InputError, match="3 ligands and 2 receptors"):
        scorer.score(ligands, [RECEPTOR] * 2)


def test_sequences_are_cleaned_and_a_bad_letter_has_a_place(scorer: PairScorer) -> None:
    clean = scorer.score("SIINFEKL", RECEPTOR).score
    np.testing.assert_array_equal(scorer.score(" siin fekl*\n", RECEPTOR).score, clean)
    for text, said in [
        ("SIINF3KL", "ligand 1: '3' at column 6 is not an amino acid (got 'SIINF3KL')."),
        ("SIINUEKL", "ligand 1: 'U' at column 5 is not one of the 20"),
        ("", "ligand 1: the sequence is empty"),
        (float("nan"), "ligand 1: no text but float"),
    ]:
        with pytest.raises(InputError) as caught:
            scorer.score(["ACD", text], RECEPTOR)  # type: ignore[list-item]
        assert str(caught.value).startswith(said)
    with pytest.raises(InputError, match=r"^receptor 0: '-' at column 1"):
        scorer.score("ACD", "-ACD")


@pytest.mark.parametrize("wrong", [None, 5, b"SIINFEKL", np.array("SIINFEKL")])
def test_what_is_no_text_and_no_list_of_texts(scorer: PairScorer, wrong: Any) -> None:
    with pytest.raises(InputError, match=r"^ligands: give a text, or a list of texts, not \w+ \(got .*\)\.$"):
        scorer.score(wrong, RECEPTOR)
    with pytest.raises(InputError, match=r"^receptors: give a text"):
        scorer.towers(["SIINFEKL"], wrong)
    with pytest.raises(InputError, match=r"^rank: give one receptor, as a text, not \w+\.$"):
        scorer.rank(["SIINFEKL"], wrong)


def test_one_text_is_one_sequence_and_what_is_walked_once_is_enough(scorer: PairScorer) -> None:
    """Letters of a text were ranked as ligands, and a generator gave an empty table."""
    assert scorer.rank("SIINFEKL", RECEPTOR)["ligand"].tolist() == ["SIINFEKL"]
    assert len(scorer.rank((one for one in ["SIINFEKL", "NLVPMVATV"]), RECEPTOR)) == 2
    for ligands, receptors in scorer.towers("SIINFEKL", RECEPTOR).values():
        assert (len(ligands), len(receptors)) == (1, 1)
    with pytest.raises(InputError, match=r"^rank: give one receptor, as a text, not list\.$"):
        scorer.rank(["SIINFEKL"], [RECEPTOR, RECEPTOR])  # type: ignore[arg-type]


def test_numbers_and_tables_that_are_none(scorer: PairScorer, made: Path) -> None:
    with pytest.raises(InputError, match=r"^top: give a whole number"):
        scorer.rank("SIINFEKL", RECEPTOR, top=None)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"^give a table of pandas"):
        scorer.score_table("pairs.csv")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"^memory_bytes: give a whole number"):
        PairScorer.load(made, memory_bytes="2G")  # type: ignore[arg-type]


def test_a_column_that_is_there_twice(scorer: PairScorer) -> None:
    frame = pd.DataFrame([["SIINFEKL", "NLVPMVATV", RECEPTOR]], columns=["ligand", "ligand", "receptor"])
    with pytest.raises(InputError, match="column 'ligand' is there twice"):
        scorer.score_table(frame)


def test_each_distinct_sequence_is_embedded_once(made: Path) -> None:
    loaded = PairScorer.load(made)
    assert loaded._rows is not None
    before = loaded._rows.num_made
    ligands = ["SIINFEKL", "GILGFVFTL"] * 50
    loaded.score(ligands, [RECEPTOR, "ACDEFGHIKL"] * 50)
    loaded.score(ligands, RECEPTOR)
    assert loaded._rows.num_made - before == 4


def test_a_small_memory_gives_the_same_scores(made: Path, run: SnwConfig) -> None:
    expected = measured_pairs(run)
    sides = expected["ligand"].tolist(), expected["receptor"].tolist()
    small = PairScorer.load(made, memory_bytes=2 * 2 * 128 * 40)
    assert small.most_residues == 40
    np.testing.assert_array_equal(small.score(*sides).score, expected["score"])


def test_a_store_is_read_in_place_of_embedding(
    made: Path, run: SnwConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = measured_pairs(run)
    with monkeypatch.context() as patch:
        patch.setattr(Encoder, "embed_into", None)
        loaded = PairScorer.load(made, cache=run.store_path)
        found = loaded.score(expected["ligand"].tolist(), expected["receptor"].tolist())
    np.testing.assert_array_equal(found.score, expected["score"])
    assert np.isfinite(loaded.score(["SIINFEKL", expected["ligand"][0]], RECEPTOR).score).all()
    other = measured_run(tmp_path, "float32")
    with pytest.raises(InputError, match="not a store of the rows"):
        PairScorer.load(made, cache=other.store_path)


def test_a_table_keeps_its_columns_and_rows(scorer: PairScorer) -> None:
    frame = pd.DataFrame({"note": ["b", "a"], "peptide": ["SIINFEKL", "ACD"], "mhc": RECEPTOR}, index=[7, 3])
    found = scorer.score_table(frame, ligand="peptide", receptor="mhc", members=True)
    assert [*found.columns[:5], found.columns[-1]] == [*frame.columns, "snw_score", "snw_probability", "snw_score_tiny"]
    pd.testing.assert_frame_equal(found[["note", "peptide", "mhc"]], frame)
    assert "snw_score" not in frame
    with pytest.raises(InputError, match="no column 'ligand': there are note, peptide, mhc"):
        scorer.score_table(frame, receptor="mhc")


def test_the_best_come_first_and_equal_ones_in_their_order(scorer: PairScorer) -> None:
    ligands = ["SIINFEKL", "GILGFVFTL", "NLVPMVATV", "SIINFEKL"]
    found, scores = scorer.rank(ligands, RECEPTOR, top=3), scorer.score(ligands, RECEPTOR).score
    assert found["place"].tolist() == [1, 2, 3]
    assert found["ligand"].tolist() == [ligands[number] for number in found["number"]]
    assert found["snw_score"].is_monotonic_decreasing
    assert found["snw_score"].max() == scores.max()
    numbers = scorer.rank(ligands, RECEPTOR)["number"].tolist()
    assert numbers.index(0) + 1 == numbers.index(3)
    assert scorer.rank([], RECEPTOR).empty
    series = pd.Series(ligands, index=[3, 2, 1, 0])  # by place, not by the numbers of its index
    assert scorer.rank(series, RECEPTOR)["ligand"].tolist() == scorer.rank(ligands, RECEPTOR)["ligand"].tolist()  # type: ignore[arg-type]


def test_attention_and_vectors_where_a_network_has_them(several: SnwConfig, scorer: PairScorer, tmp_path: Path) -> None:
    loaded = PairScorer.load(bundled(several, tmp_path / "out", "all"))
    maps = loaded.attention("SIINFEKL", RECEPTOR)
    assert list(maps) == ["cross_attention-1", "cross_attention-2"]
    assert maps["cross_attention-1"].shape == (8, len(RECEPTOR))
    np.testing.assert_allclose(maps["cross_attention-1"].sum(axis=1), 1, atol=1e-5)
    ligands = ["SIINFEKL", "ACD", "GILGFVFTL"]
    towers = loaded.towers(ligands, [RECEPTOR, "ACDEFGH"])
    assert list(towers) == ["siamese-1", "siamese-2"]
    assert (towers["siamese-1"].ligands.shape[0], towers["siamese-1"].receptors.shape[0]) == (3, 2)
    apart = np.sqrt(((towers["siamese-1"].ligands[2] - towers["siamese-1"].receptors[1]) ** 2).sum() + 1e-6)
    assert loaded.score("GILGFVFTL", "ACDEFGH").members["siamese-1"][0] == pytest.approx(1 - apart / 2, abs=1e-5)
    with pytest.raises(InputError, match="no member has an attention map"):
        scorer.attention("ACD", RECEPTOR)
    with pytest.raises(InputError, match="at least one ligand and one receptor"):
        scorer.towers([], [RECEPTOR])
    only = PairScorer.load(bundled(several, tmp_path / "one", "cross_attention-1"))
    with pytest.raises(InputError, match="no member has vectors"):
        only.towers(["ACD"], [RECEPTOR])


def test_where_the_sides_mean_nothing_their_order_does_not_either(tmp_path: Path) -> None:
    data: dict[str, Any] = {"symmetric": True}
    data["split"] = {"method": "random", "clusters": "identical", "val_fraction": 0.2, "test_fraction": 0.2}
    loaded = PairScorer.load(bundled(measured_run(tmp_path, data=data), tmp_path / "out"))
    one, other = ["SIINFEKL", RECEPTOR, "ACD"], [RECEPTOR, "ACDEFGH", "ACD"]
    np.testing.assert_array_equal(loaded.score(one, other).score, loaded.score(other, one).score)


def test_a_member_with_the_encoder_inside_takes_no_sequence_beyond_its_context(tmp_path: Path) -> None:
    config = measured_run(tmp_path, "float32", **with_model("siamese", encoder_mode="full"))
    loaded = PairScorer.load(bundled(config, tmp_path / "out"))
    with pytest.raises(InputError, match=r"a sequence of 2,047 residues: member tiny has the encoder inside"):
        loaded.score("A" * 2047, RECEPTOR)
    assert np.isfinite(loaded.score("A" * 2046, RECEPTOR).score).all()


def test_scores_that_are_not_its_own_are_refused_at_load(made: Path, tmp_path: Path) -> None:
    """Every digest is right; the encoder or this machine would have to be another one."""
    shutil.copytree(made, tmp_path / "bundle")
    parity = json.loads((made / "parity.json").read_text())
    parity["pairs"][3]["scores"]["tiny"] += 0.01
    put(tmp_path / "bundle", "parity.json", json.dumps(parity).encode())
    with pytest.raises(EnvironmentProblem, match="does not give its own scores here"):
        PairScorer.load(tmp_path / "bundle")
    put(tmp_path / "bundle", "parity.json", b'{"pairs": []}')
    with pytest.raises(CorruptError, match=r"parity\.json"):
        PairScorer.load(tmp_path / "bundle")


@pytest.mark.parametrize(
    "name", ["model.safetensors", "calibration.json", "config.json", "README.md", "code.pkl", "link"]
)
def test_nothing_of_a_bundle_that_was_tampered_with_is_used(
    made: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(made, tmp_path / "bundle")
    monkeypatch.setattr(scorer_module, "load_members", lambda *_: pytest.fail("used"))
    monkeypatch.setattr(scorer_module, "bundle_encoder", lambda *_: pytest.fail("used"))
    file = next(tmp_path.rglob(name), tmp_path / "bundle" / name)
    if name == "link":
        file.symlink_to(made / "config.json")
    else:
        file.write_bytes(file.read_bytes()[:-1] + b" " if file.exists() else pickle.dumps(1))
    with pytest.raises(CorruptError, match=re.escape(str(file))):
        PairScorer.load(tmp_path / "bundle")


def test_the_device_that_is_asked_for(made: Path) -> None:
    assert PairScorer.load(made, device="cpu").device == torch.device("cpu")
    if not torch.cuda.is_available():
        with pytest.raises(EnvironmentProblem, match="cuda"):
            PairScorer.load(made, device="cuda")


def test_the_package_has_a_scorer_and_nothing_else() -> None:
    assert snw_dist.PairScorer is PairScorer
    with pytest.raises(AttributeError, match="has no attribute 'Scorer'"):
        _ = snw_dist.Scorer  # type: ignore[attr-defined]


def test_what_loading_took_is_known(scorer: PairScorer) -> None:
    assert list(scorer.loading.seconds) == ["verify", "networks", "encoder", "parity"]
    assert all(seconds > 0 for seconds in scorer.loading.seconds.values())
