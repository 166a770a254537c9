import dataclasses

import numpy as np
import pytest
import torch

from snw_dist.config import ModelSection
from snw_dist.embedding.row_reader import read_rows
from snw_dist.evaluate.controls.controls import MODEL_CONTROLS
from snw_dist.evaluate.controls.noise import NoiseReader
from snw_dist.evaluate.model_scores import model_scores, shuffled_within
from snw_dist.model.build import build_model
from snw_dist.predict.batches import IndexedPairs
from snw_dist.predict.score import score_pairs
from tests.kit.evaluate_tools import sequences
from tests.kit.train_tools import WIDTH, embedding_of, stored

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def stock(tmp_path_factory):
    rng = np.random.default_rng(0)
    texts = sorted(set(sequences(rng, 40)), key=len) + sequences(rng, 6, 30, 60)
    return texts, stored(tmp_path_factory.mktemp("store") / "store.zarr", texts)


def test_noise_has_the_shape_and_the_spread_but_not_the_content(stock):
    texts, reader = stock
    chosen = reader.indices(texts)
    noise = NoiseReader(reader, chosen, seed=1)
    real, made = (torch.cat([read_rows(r, int(i)) for i in chosen]) for r in (reader, noise))
    assert made.shape == real.shape
    assert made.dtype == real.dtype
    size = len(real)
    torch.testing.assert_close(made.mean(0), real.mean(0), atol=5 / size**0.5, rtol=0)
    torch.testing.assert_close(made.std(0), real.std(0), atol=5 / size**0.5, rtol=0)
    assert abs(float(torch.corrcoef(torch.stack([real.flatten(), made.flatten()]))[0, 1])) < 0.1


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_noise_in_every_format_of_a_store(tmp_path, stock, dtype):
    texts, reader = stock
    narrow = stored(tmp_path / "store.zarr", texts, dtype)
    index = reader.index(texts[-1])
    exact, found = (read_rows(NoiseReader(r, r.indices(texts), seed=1), index) for r in (reader, narrow))
    assert found.dtype == narrow.dtype
    torch.testing.assert_close(found.float(), exact, atol=0.05, rtol=0.01)


def test_noise_of_a_sequence_is_always_the_same(stock):
    texts, reader = stock
    index = reader.index(texts[-1])
    first, again = (read_rows(NoiseReader(reader, reader.indices(texts), seed=1), index) for _ in range(2))
    assert torch.equal(first, again)
    assert torch.equal(read_rows(NoiseReader(reader, reader.indices(texts), seed=1), index, 5, 20), first[5:20])
    assert not torch.equal(read_rows(NoiseReader(reader, reader.indices(texts), seed=2), index), first)
    assert not torch.equal(read_rows(NoiseReader(reader, reader.indices(texts), seed=1), index - 1)[:30], first[:30])


def test_channels_keep_their_own_mean_and_scale(stock):
    texts, reader = stock
    one = reader.indices(texts[-1:])
    noise = NoiseReader(reader, one, seed=1)  # measured on a single sequence: its rows and no others
    rows = embedding_of(texts[-1])
    made = torch.stack([read_rows(noise, int(i))[0] for i in reader.indices(texts)]).numpy()
    np.testing.assert_allclose((made - rows.mean(0)).std(0) / rows.std(0), 1, atol=0.4)


@pytest.mark.parametrize("seed", range(5))
def test_partners_are_exchanged_within_their_split(seed):
    split = np.random.default_rng(seed).choice(["val", "test", "other"], 200)
    order = shuffled_within(split, seed)
    assert sorted(order) == list(range(200))
    assert (split[order] == split).all()
    assert (order != np.arange(200)).mean() > 0.9
    assert list(order) == list(shuffled_within(split, seed))


def test_the_controls_are_the_model_on_spoilt_input(stock):
    texts, reader = stock
    rng = np.random.default_rng(1)
    ligand, receptor = reader.indices(rng.choice(texts[:40], 60)), reader.indices(rng.choice(texts[40:], 60))
    table = IndexedPairs(ligand, receptor, np.zeros(60, dtype=np.float32), np.zeros(60, dtype=bool), np.ones(60))
    split = np.repeat(["val", "test"], 30)
    section = ModelSection(
        name="siamese",
        margin=2.0,
        d_model=16,
        num_heads=2,
        num_conv_layers=1,
        num_transformer_layers=1,
        embedding_size=8,
    )
    model = build_model(section, WIDTH, seed=3).eval()

    def score(ligand, receptor):
        swapped = dataclasses.replace(table, ligand=ligand, receptor=receptor)
        return score_pairs(model, swapped, reader, 2048, 16, CPU)

    plain, spoilt = model_scores(model, table, split, reader, 2048, 16, CPU, MODEL_CONTROLS, seed=7)
    order = shuffled_within(split, 7)
    np.testing.assert_array_equal(plain, score(ligand, receptor))
    assert list(spoilt) == list(MODEL_CONTROLS)
    np.testing.assert_array_equal(spoilt["shuffled_receptor"], score(ligand, receptor[order]))
    np.testing.assert_array_equal(spoilt["shuffled_ligand"], score(ligand[order], receptor))
    assert (spoilt["noise"] != plain).mean() > 0.9
    assert model_scores(model, table, split, reader, 2048, 16, CPU, ["boosting"], seed=7)[1] == {}
