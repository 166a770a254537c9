"""The ways to the best `k` of a library that `tests.bench.screen` compares: vectors in, numbers out."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from types import ModuleType

import numpy as np
import torch
from numpy.typing import NDArray

from snw_dist.predict.one_thread import passes_side_by_side
from snw_dist.screen.product.best import BLOCK

Numbers = NDArray[np.int64]
INSTALL = {
    "faiss": "pip install faiss-cpu",
    "sklearn": "pip install scikit-learn",
    "dscript": "pip install --no-deps dscript loguru seaborn",  # dscript pins a version of biotite that esm has newer
}
LIGAND_LENGTH, RECEPTOR_LENGTH, D_SCRIPT_WIDTH = 12, 180, 6165
"""Residues of a peptide, and of the groove of an HLA receptor; numbers of D-SCRIPT's embedding of a residue."""


def found(module: str) -> ModuleType | None:
    """A package that may be missing."""
    try:
        return importlib.import_module(module)
    except ImportError:
        return None


def faiss_knn(ligands: torch.Tensor, receptors: torch.Tensor, k: int) -> Numbers:
    """[m, k]: faiss's exhaustive search by distance, all threads."""
    faiss = importlib.import_module("faiss")
    faiss.omp_set_num_threads(torch.get_num_threads())
    return np.asarray(faiss.knn(receptors.numpy(), ligands.numpy(), k)[1])


def faiss_product(ligands: torch.Tensor, receptors: torch.Tensor, k: int) -> Numbers:
    """[m, k]: the same by inner product, which has the order of the distance only for vectors of exactly length 1."""
    faiss = importlib.import_module("faiss")
    faiss.omp_set_num_threads(torch.get_num_threads())
    return np.asarray(faiss.knn(receptors.numpy(), ligands.numpy(), k, metric=faiss.METRIC_INNER_PRODUCT)[1])


def scikit_learn(ligands: torch.Tensor, receptors: torch.Tensor, k: int) -> Numbers:
    """[m, k]: brute force."""
    neighbors = importlib.import_module("sklearn.neighbors")
    search = neighbors.NearestNeighbors(n_neighbors=k, algorithm="brute").fit(ligands.numpy())
    return np.asarray(search.kneighbors(receptors.numpy(), return_distance=False))


def plain_torch(ligands: torch.Tensor, receptors: torch.Tensor, k: int) -> Numbers:
    """[m, k]: `mm` and `topk`, for 64 receptors at a time."""
    return torch.cat([(part @ ligands.T).topk(k, dim=1).indices for part in receptors.split(64)]).numpy()


def product_alone(ligands: torch.Tensor, receptors: torch.Tensor) -> None:
    """The matrix product in the blocks of the engine, by as many threads as it has: no list is made."""
    rows, columns = BLOCK["cpu"]
    parts = ligands.split(rows)

    def multiply(part: torch.Tensor) -> None:
        out = ligands.new_empty(rows, len(part))
        for block in parts:
            torch.mm(block, part.T, out=out[: len(block)])

    with passes_side_by_side() as each:
        each(multiply, receptors.split(columns))


def d_script() -> Callable[[int], float]:
    """Pairs a second of its `predict`, for a number of pairs with embeddings in memory; the weights are random."""
    contact, embedding, interaction = (
        importlib.import_module(f"dscript.models.{name}") for name in ("contact", "embedding", "interaction")
    )
    model = interaction.ModelInteraction(
        embedding.FullyConnectedEmbed(D_SCRIPT_WIDTH, 100), contact.ContactCNN(100), use_cuda=False
    ).eval()
    ligand, receptor = (torch.randn(1, length, D_SCRIPT_WIDTH) for length in (LIGAND_LENGTH, RECEPTOR_LENGTH))

    def rate(pairs: int) -> float:
        with torch.inference_mode():
            started = time.perf_counter()
            for _ in range(pairs):
                model.predict(ligand, receptor)
            return pairs / (time.perf_counter() - started)

    return rate
