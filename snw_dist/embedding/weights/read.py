"""Read ESM C weights in their public formats, check every tensor, and record their hash.

Formats: the state dict of the `esm` package (2024, as a `.pth`, or in safetensors as the hub's 6B of 2024-12), a
transformers folder (`config.json` and `model.safetensors`, also in several files), and a hub id, which is a folder of
either kind fetched beforehand: compute nodes have no network.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
import torch

from hpc.disk.files import file_digest
from hpc.errors import CorruptError, InputError
from hpc.machine.processors import usable_processors
from snw_dist.embedding.esmc.architecture import VOCABULARY_ROWS, EsmcLayer, EsmcShape, EsmcWeights
from snw_dist.embedding.esmc.attention import HEAD_SIZE
from snw_dist.embedding.weights.files import WeightFiles, locate_weights
from snw_dist.embedding.weights.keys import FORMS, TRANSFORMERS, Naming, few, is_needed, recognised
from snw_dist.embedding.weights.settings import check_sizes, read_settings
from snw_dist.embedding.weights.tensors import Stored, stored_tensors

_FLOATS = "float32", "bfloat16", "float16", "float64"


@dataclass(frozen=True)
class LoadedWeights:
    """Weights with what a result must say about them."""

    on: Callable[[torch.device], EsmcWeights]
    """The weights, each layer read straight to a device when it is asked for."""
    sha256: str
    source: str
    folder: Path | None = None
    """Where transformers reads them from; None for another format."""

    @property
    def weights(self) -> EsmcWeights:
        """Those on the processor."""
        return self.on(torch.device("cpu"))


def load_weights(name: str, revision: str | None = None, expected_sha256: str | None = None) -> LoadedWeights:
    """Load ESM C weights; `InputError`, `EnvironmentProblem` and `CorruptError` name the file and the tensor."""
    found = locate_weights(name, revision)
    stored = _Stored.of(found)
    digest = weights_digest(found)
    if expected_sha256 is not None and digest != expected_sha256:
        raise CorruptError(f"{found.path}: SHA-256 is {digest}, but encoder.sha256 asks for {expected_sha256}")
    folder = found.folder if stored.naming is TRANSFORMERS else None
    return LoadedWeights(stored.weights, digest, f"{name}@{revision}" if revision else name, folder)


def read_shape(name: str, revision: str | None) -> EsmcShape:
    """Sizes of the model in a weight file; all is checked that `load_weights` checks, but no tensor is read."""
    return _Stored.of(locate_weights(name, revision)).shape


def weights_digest(found: WeightFiles) -> str:
    """SHA-256 of the weight file; of several files, SHA-256 over the lines "name digest" in the order of names."""
    if len(found.files) == 1:
        return file_digest(found.files[0])
    with ThreadPoolExecutor(min(len(found.files), usable_processors())) as threads:
        lines = [f"{f.name} {d}\n" for f, d in zip(found.files, threads.map(file_digest, found.files), strict=True)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def tiny_random_weights(
    d_model: int = 128, num_layers: int = 2, intermediate: int = 256, seed: int = 0
) -> LoadedWeights:
    """A small ESM C with fixed random weights, the same on every machine; for demonstrations and tests only."""
    generator = np.random.default_rng(seed)

    def normal(*shape: int) -> torch.Tensor:
        values = generator.standard_normal(shape, dtype=np.float32) / np.sqrt(shape[-1], dtype=np.float32)
        return torch.from_numpy(values)

    ones, zeros = torch.ones(d_model), torch.zeros(d_model)
    embed = normal(VOCABULARY_ROWS, d_model) * d_model**0.5
    layers = tuple(
        EsmcLayer(
            ones, zeros, normal(3 * d_model, d_model), ones, ones, normal(d_model, d_model) * 0.1,
            ones, zeros, normal(2 * intermediate, d_model), normal(d_model, intermediate) * 0.1,
        )
        for _ in range(num_layers)
    )  # fmt: skip
    weights = EsmcWeights(embed, layers, ones)
    state = hashlib.sha256()
    for tensor in [embed, *(t for layer in layers for t in vars(layer).values()), ones]:
        state.update(tensor.numpy().astype("<f4").tobytes())
    return LoadedWeights(lambda _: weights, state.hexdigest(), f"random, seed {seed}")


@dataclass(frozen=True)
class _Stored:
    """A whole ESM C in its files, checked by names, types and shapes."""

    naming: Naming
    tensors: Mapping[str, Stored]
    """By the names of the scheme."""
    shape: EsmcShape

    @staticmethod
    def of(found: WeightFiles) -> _Stored:
        """Every tensor must be there, of a floating type and the right shape, and none may be left over unread."""
        settings = {} if found.folder is None else read_settings(found.folder)
        stored = stored_tensors(found)
        named = recognised(stored, found.path)
        naming, tensors = named.naming, {name: stored[there] for name, there in named.names.items()}
        if naming is TRANSFORMERS and found.folder is None:
            raise InputError(
                f"encoder.weights: {found.path}: one file of a transformers folder, whose config.json belongs to it: "
                f"give the folder, {found.path.parent}."
            )
        depth = naming.blocks.count(".") + 1
        num_layers = len({name.split(".")[depth] for name in tensors if name.startswith(f"{naming.blocks}.")})
        needed = [naming.embed, naming.norm, *(name for i in range(num_layers) for name in _layer_names(naming, i))]
        absent = [name for name in needed if name not in tensors]
        unread = sorted(filter(is_needed, [*(tensors.keys() - set(needed)), *named.others]))
        if unread:
            lacking = f", and has no {few(absent)}" if absent else ""
            raise InputError(
                f"{found.path}: not the ESM C this program knows: it holds {few(unread)}, which that has not{lacking}. "
                f"{FORMS}"
            )
        if absent:
            raise CorruptError(f"{found.path}: no tensor {few(absent)}; this is not a whole ESM C. Fetch it again")
        shape = _checked_shape(found.path, naming, tensors, num_layers)
        if found.folder is not None:
            if naming is not TRANSFORMERS:  # the esm package has no such setting: it works the size out from the width
                settings = {key: value for key, value in settings.items() if key != "intermediate_size"}
            check_sizes(found.folder, settings, shape)
        return _Stored(naming, tensors, shape)

    def weights(self, device: torch.device) -> EsmcWeights:
        """What is needed, on `device`; a layer is read when it is asked for."""
        naming = self.naming
        embed, norm = (self.tensors[name].read(device) for name in (naming.embed, naming.norm))
        return EsmcWeights(embed, _Layers(self, device, range(self.shape.num_layers)), norm)

    def layer(self, number: int, device: torch.device) -> EsmcLayer:
        """Read one layer."""

        def joined(names: Sequence[str]) -> torch.Tensor:
            parts = [self.tensors[_in_layer(self.naming, number, name)].read(device) for name in names]
            return torch.cat(parts) if len(parts) > 1 else parts[0]

        return EsmcLayer(**{part: joined(names) for part, names in self.naming.layer.items()})


class _Layers(Sequence[EsmcLayer]):
    """Layers in files, read whenever they are asked for: whoever puts them somewhere else holds one at a time."""

    def __init__(self, stored: _Stored, device: torch.device, numbers: range) -> None:
        self._stored, self._device, self._numbers = stored, device, numbers

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, index: int) -> EsmcLayer: ...
    @overload
    def __getitem__(self, index: slice) -> _Layers: ...
    def __getitem__(self, index: int | slice) -> EsmcLayer | _Layers:
        if isinstance(index, slice):
            return _Layers(self._stored, self._device, self._numbers[index])
        return self._stored.layer(self._numbers[index], self._device)


def _in_layer(naming: Naming, number: int, name: str) -> str:
    return f"{naming.blocks}.{number}.{name}"


def _layer_names(naming: Naming, number: int) -> list[str]:
    return [_in_layer(naming, number, name) for names in naming.layer.values() for name in names]


def _checked_shape(path: Path, naming: Naming, tensors: Mapping[str, Stored], num_layers: int) -> EsmcShape:
    """A tensor of another type or shape is named here, not by a failure of the first forward pass on a node."""
    width = tensors[naming.embed].shape[-1] if tensors[naming.embed].shape else 0
    [down] = naming.layer["down"]
    inner = tensors[_in_layer(naming, 0, down)].shape[-1:]
    shape = EsmcShape(width, num_layers, inner[0] if inner else 0)
    if not shape.intermediate or not width or width % HEAD_SIZE:
        raise InputError(
            f"{path}: not an ESM C: width {width}, which heads of {HEAD_SIZE} do not fill, and {shape.intermediate} "
            f"channels inside. {FORMS}"
        )
    rows = {"qkv": 3 * width, "out": width, "gate_up": 2 * shape.intermediate, "down": width}
    wanted: dict[str, tuple[int, ...]] = {naming.embed: (VOCABULARY_ROWS, width), naming.norm: (width,)}
    for i in range(num_layers):
        for part, names in naming.layer.items():
            columns = shape.intermediate if part == "down" else width
            size = (rows[part] // len(names), columns) if part in rows else (width,)
            wanted |= dict.fromkeys((_in_layer(naming, i, name) for name in names), size)
    for name, due in wanted.items():
        if tensors[name].shape != due:
            raise InputError(
                f"{path}: {name} has shape {tensors[name].shape}, and in ESM C of this width {due}. {FORMS}"
            )
        if tensors[name].dtype not in _FLOATS:
            raise InputError(
                f"{path}: {name} is of type {tensors[name].dtype}: only {', '.join(_FLOATS)} are "
                "read, not quantised weights."
            )
    return shape
