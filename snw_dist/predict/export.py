"""The export of a run: the weights for use, with all that is needed to use them; no optimiser state, no pickle.

A folder that appears as a whole: `manifest.json` names every file with its size and SHA-256, so the files of two
exports never pass for one, and what is loaded is what was written. `calibration.json` comes later, and names the
weights.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hpc.disk.folder import new_folder
from hpc.disk.strict import validated
from hpc.errors import CorruptError, EnvironmentProblem, InputError
from snw_dist.config import ModelSection
from snw_dist.embedding.esmc.architecture import EsmcShape
from snw_dist.embedding.store.header import StoreHeader
from snw_dist.model.build import build_model, size_of
from snw_dist.predict.manifest import (
    MANIFEST,
    WEIGHTS,
    Description,
    of_one_export,
    read_exported,
    read_manifest,
    write_manifest,
)
from snw_dist.predict.tuned_encoder import with_encoder
from snw_dist.predict.weights import check_shapes, shapes_of, tensors_of, to_bytes

_MORE_LAYERS = 1000
"""Than there are tensors: some networks have no use for one of the two numbers of layers."""


def write_export(
    folder: Path,
    weights: Mapping[str, torch.Tensor],
    model: ModelSection,
    store: StoreHeader,
    facts: Mapping[str, Any],
) -> None:
    """Replace the export, with its calibration, by these weights: a reader finds the old one or the new one.

    `facts` are `step`, `validation`, `provenance`, and of a network with ESM C in front `tuned_encoder`: the sizes of
    that, and the rank of its updates; more may be there, and is given back by `read_export`. `weights`: [...] by name.
    """
    description = {
        "model": dataclasses.asdict(model) | dataclasses.asdict(size_of(model)),
        "d_input": store.row_width,
        "encoder": dict(store.encoder),
        **facts,
    }
    with new_folder(folder) as fresh:
        (fresh / WEIGHTS).write_bytes(to_bytes(weights))
        write_manifest(fresh, description, [WEIGHTS])


def read_export(folder: Path) -> tuple[nn.Module, dict[str, Any]]:
    """The network in evaluation mode, and its description with `weights_sha256`, the digest of what was loaded.

    Raises `InputError` when there is no export, and `CorruptError` naming the file when it is damaged: nothing is
    allocated before sizes, digests and shapes agree.
    """
    return of_one_export(folder, lambda: _read(folder))


def verify_export(folder: Path) -> tuple[str, int]:
    """SHA-256 of the weights of an export, and the step they are of; every file is compared with the manifest.

    Raises as `read_export`.
    """
    return of_one_export(folder, lambda: _verify(folder))


def check_still_there(folder: Path, weights_sha256: str) -> None:
    """Raise `EnvironmentProblem` when the export holds other weights by now than those that were loaded."""
    now, step = verify_export(folder)
    if now != weights_sha256:
        raise EnvironmentProblem(
            f"{folder}: replaced while it was evaluated: weights {weights_sha256[:12]} were loaded, now there are "
            f"{now[:12]} of step {step}. A training of this run is still going on: evaluate again when it has ended."
        )


def _read(folder: Path) -> tuple[nn.Module, dict[str, Any]]:
    manifest, described = read_manifest(folder)
    file = str(folder / WEIGHTS)
    data = read_exported(folder, WEIGHTS, manifest)
    found = shapes_of(data, file)
    section = _section_of(described, len(found), str(folder / MANIFEST))
    check_shapes(found, _shapes(section, described, file), file)
    network = _network(section, described)
    network.load_state_dict(tensors_of(data, file))
    return network.eval(), {**manifest.description, "weights_sha256": manifest.files[WEIGHTS].sha256}


def _verify(folder: Path) -> tuple[str, int]:
    manifest, described = read_manifest(folder)
    for name in manifest.files:
        read_exported(folder, name, manifest)
    if WEIGHTS not in manifest.files:
        raise CorruptError(f"{folder / MANIFEST}: names no {WEIGHTS}")
    return manifest.files[WEIGHTS].sha256, described.step


def _section_of(described: Description, num_tensors: int, source: str) -> ModelSection:
    section = validated(ModelSection, described.model, f"{source}: description.model", refuse=CorruptError)
    tuned = described.tuned_encoder
    layers = [section.num_conv_layers, section.num_transformer_layers, tuned and tuned.shape.num_layers]
    if max(number or 0 for number in layers) > num_tensors + _MORE_LAYERS:
        raise CorruptError(f"{source}: description: more layers than the {num_tensors} tensors of {WEIGHTS} can be")
    return section


def _shapes(section: ModelSection, described: Description, file: str) -> dict[str, tuple[int, ...]]:
    """Of the described network, of which nothing is allocated."""
    try:
        with torch.device("meta"):
            network = _network(section, described)
    except (ValueError, TypeError, LookupError, RuntimeError, ArithmeticError, InputError) as error:
        reason = str(error).splitlines()[0]
        raise CorruptError(f"{file}: the description of the network makes none ({reason})") from None
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def _network(section: ModelSection, described: Description) -> nn.Module:
    network, tuned = build_model(section, described.d_input, seed=0), described.tuned_encoder
    if tuned is None:
        return network
    facts = {"layers": described.encoder.layers, "combine": described.encoder.combine}
    return with_encoder(network, EsmcShape(**vars(tuned.shape)).blank(), facts, tuned.rank)


def check_same_encoder(description: Mapping[str, Any], store: StoreHeader, path: Path) -> None:
    """Raises `InputError` for embeddings of another encoder than the network was trained on."""
    if any(description["encoder"][key] != store.encoder[key] for key in ("weights_sha256", "layers", "combine")):
        raise InputError(
            f"{path}: the store was made by {store.encoder['description']} "
            f"({store.encoder['weights_sha256'][:12]}), but the network was trained on "
            f"{description['encoder']['description']} "
            f"({description['encoder']['weights_sha256'][:12]}). Embed with the same encoder."
        )
