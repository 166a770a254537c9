"""Which files `encoder.weights` means, and what tensors they hold; none is read before it is asked for.

In a folder the files are those that transformers takes, in its order: `model.safetensors` before an index and its
shards, whatever else lies there. A folder without them may have one `.pth` below it, as the hub's repositories of 2024.
Nothing is unpickled beyond tensors.
"""

from __future__ import annotations

import functools
import itertools
import os
import pickle
import re
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from hpc.errors import CorruptError, EnvironmentProblem, InputError
from hpc.reading import open_regular, read_json
from snw_dist.embedding.weights_keys import FORMS, few, unwrapped

_ENDINGS = ".pth", ".pt", ".bin", ".ckpt", ".safetensors", ".json"  # of files, and of no hub id
_WHOLE = "model.safetensors", "pytorch_model.bin"
_TYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"
_NOT_WEIGHTS = {
    b"version https://git-lfs": "a pointer of git LFS, not the weights: run `git lfs pull` in that folder, or fetch "
    "them with hf download",
    b"<": "a web page, not weights: it is what a server sends in place of a file, for one without a log-in. Fetch it "
    "again",
    b"\x1f\x8b": "compressed by gzip: unpack it first",
    b"\xfd7zXZ": "compressed by xz: unpack it first",
    b"\x28\xb5\x2f\xfd": "compressed by zstd: unpack it first",
}


@dataclass(frozen=True)
class WeightFiles:
    """The files of one set of weights."""

    files: list[Path]
    folder: Path | None
    """The folder whose config.json belongs to them; None for a file of the esm package."""

    @property
    def path(self) -> Path:
        """What a message calls them."""
        return self.folder or self.files[0]


@dataclass(frozen=True)
class Stored:
    """A tensor in a file."""

    shape: tuple[int, ...]
    dtype: str
    read: Callable[[], torch.Tensor]


def locate_weights(name: str, revision: str | None) -> WeightFiles:
    """The local files of `weights`; a hub id is looked up in the cache, then fetched.

    Raises `InputError` when there is no such file or folder, or none that can be read, and `EnvironmentProblem` when
    the hub cannot be reached.
    """
    path = Path(name)
    try:
        if path.is_file() or path.is_dir():
            return weight_files(path)
        is_other = path.exists()
    except OSError as error:  # a folder that the user may not look into, a name that is too long
        raise InputError(f"encoder.weights: {name[:200]}: cannot be read ({error.strerror})") from None
    if is_other:
        raise InputError(f"encoder.weights: {name}: neither a regular file nor a folder")
    if name.startswith(("/", ".")) or name.endswith(_ENDINGS) or name.count("/") != 1:
        raise InputError(f"encoder.weights: {name}: no such file or folder. {FORMS}")
    folder = _fetched(name, revision, ["*.json", "*.safetensors"])
    if not _transformers_files(folder):  # only then, as a repository may have both, and they are large
        folder = _fetched(name, revision, ["*.pth", "*.pt", "*.bin", "*.json"])
    return weight_files(folder)


def _fetched(name: str, revision: str | None, patterns: list[str]) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=patterns))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise EnvironmentProblem(
            f"encoder.weights: {name} is neither a local path nor in the hub's cache, and cannot be fetched: "
            f"{reason}. Fetch it once where there is network (hf download), then give the folder or set HF_HOME."
        ) from None


def weight_files(path: Path) -> WeightFiles:
    """The files of a local file or folder; raises `InputError` where there are none, or not all."""
    if path.is_file():
        if path.suffix == ".json":
            raise InputError(f"encoder.weights: {path}: a description, not weights: give its folder, {path.parent}")
        return WeightFiles([path], None)
    if (path / "adapter_config.json").exists():
        raise InputError(
            f"encoder.weights: {path}: holds an adapter (adapter_config.json), a change to other weights that this "
            "program does not apply. Merge it into them first (merge_and_unload of peft) and save the whole model."
        )
    if files := _transformers_files(path):
        if not (path / "config.json").exists():
            raise InputError(
                f"encoder.weights: {path}: {files[0].name} without config.json beside it, which belongs to it. {FORMS}"
            )
        missing = [file.name for file in files if not file.is_file()]
        if missing:
            raise InputError(
                f"encoder.weights: {path}: no {few(missing)} in this folder, of the {len(files)} files that its index "
                "names. Fetch the folder again, as a whole."
            )
        return WeightFiles(files, path)
    single = sorted(
        file for depth in ("", "*/", "*/*/") for kind in ("pth", "pt") for file in path.glob(f"{depth}*.{kind}")
    )
    if len(single) == 1:
        return WeightFiles(single, None)
    found = f"several files, {few(map(str, single))}: name one of them" if single else _content(path)
    raise InputError(f"encoder.weights: {path}: no model.safetensors in this folder, but {found}. {FORMS}")


def _transformers_files(folder: Path) -> list[Path]:
    """What transformers reads in a folder, in its order; empty where there is nothing."""
    for name in _WHOLE:
        if (folder / name).is_file():
            return [folder / name]
        if os.path.lexists(folder / name):
            raise CorruptError(f"{folder / name}: not a regular file, or a link to none")
        index = folder / f"{name}.index.json"
        if os.path.lexists(index):
            return _shards(index)
    return []


def _shards(index: Path) -> list[Path]:
    try:
        names = {os.fspath(name) for name in read_json(index)["weight_map"].values()}
        if any(name != Path(name).name for name in names):
            raise ValueError("a name that leads out of the folder")
        if not names:
            raise ValueError("no file in it")
        return sorted(index.parent / name for name in names)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorruptError(f"{index}: not the index of a model in several files ({error!r})") from None


def _content(folder: Path) -> str:
    names = [entry.name for entry in itertools.islice(folder.iterdir(), 1000)]
    return f"it holds {few(sorted(names))}" if names else "it is empty"


def stored_tensors(found: WeightFiles) -> dict[str, Stored]:
    """Every tensor of the files by its name there; only names, types and shapes are read.

    Raises `InputError` for a file of another kind, `CorruptError` for one that is damaged.
    """
    tensors: dict[str, Stored] = {}
    for file in found.files:
        here = _of_safetensors(file) if _is_safetensors(_first_bytes(file)) else _of_pickle(file)
        if twice := sorted(tensors.keys() & here.keys()):
            raise InputError(f"{file}: {twice[0]} is also in another file of {found.path}: which one counts?")
        tensors |= here
    return tensors


def _first_bytes(file: Path) -> bytes:
    """The beginning of a file of weights; raises where it cannot be one."""
    try:
        descriptor = open_regular(file)
        try:
            head, size = os.read(descriptor, 64), os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
    if size < 16:
        raise CorruptError(f"{file}: has only {size} bytes. Fetch it again")
    if _is_safetensors(head) or head.startswith((_ZIP, _PICKLE)):
        return head
    for start, reason in _NOT_WEIGHTS.items():
        if head.lstrip().startswith(start):
            raise InputError(f"{file}: {reason}")
    raise InputError(f"{file}: neither safetensors nor a state dict of torch (it begins with {head[:8]!r}). {FORMS}")


def _is_safetensors(head: bytes) -> bool:
    """Eight bytes say the length of the JSON that follows, which is below 100 MB."""
    return head[4:9] == b"\0\0\0\0{"


def _of_safetensors(file: Path) -> dict[str, Stored]:
    try:
        opened: Any = safe_open(file, framework="pt")
        tensors = {}
        for name in opened.keys():  # noqa: SIM118
            part = opened.get_slice(name)
            dtype = _TYPES.get(part.get_dtype(), part.get_dtype())
            tensors[name] = Stored(tuple(part.get_shape()), dtype, functools.partial(opened.get_tensor, name))
        return tensors
    except (OSError, SafetensorError) as error:
        raise CorruptError(f"{file}: not a safetensors file ({error})") from None


def _of_pickle(file: Path) -> dict[str, Stored]:
    tensors = unwrapped(_loaded(file), file)
    for name, tensor in tensors.items():
        num_bytes = tensor.numel() * tensor.element_size()
        # One number may be shown as a billion of them, of which a copy would fill the memory.
        plain = tensor.layout == torch.strided and tensor.device.type == "cpu" and not tensor.is_quantized
        if not plain or tensor.untyped_storage().nbytes() < num_bytes:
            raise InputError(f"{file}: {name} is not a plain tensor with all its numbers. {FORMS}")
    return {
        name: Stored(tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."), tensor.detach)
        for name, tensor in tensors.items()
    }


def _loaded(file: Path) -> Any:
    """What torch finds in a file: mapped where it is a zip archive, in memory where it is of the time before."""
    is_zip = _first_bytes(file).startswith(_ZIP)
    try:
        if is_zip and not _is_state(zipfile.ZipFile(file).namelist()):
            raise InputError(
                f"{file}: a zip archive, but not a state dict of torch (a TorchScript, or packed files). {FORMS}"
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old forms of pickles, which are refused or read in any case
            return torch.load(file, map_location="cpu", weights_only=True, mmap=is_zip)
    except pickle.UnpicklingError as error:
        named = re.search(r"(?i)global:? (?:GLOBAL )?([\w.]+)", str(error))
        what = f"{named[1]} among it" if named else "no tensors of torch"
        raise InputError(
            f"{file}: not a state dict of the esm package: it holds more than tensors ({what}), and nothing else is "
            f"unpickled. Save model.state_dict() in a file of its own. {FORMS}"
        ) from None
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001 - what a reader of pickles raises at damaged bytes has no common kind
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise CorruptError(f"{file}: not a state dict of the esm package ({reason})") from None


def _is_state(names: list[str]) -> bool:
    ends = {name.rpartition("/")[2] for name in names}
    return "data.pkl" in ends and "constants.pkl" not in ends
