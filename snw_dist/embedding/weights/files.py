"""Which files `encoder.weights` means.

In a folder the files are those that transformers takes, in its order: `model.safetensors` before an index and its
shards, whatever else lies there. A folder without them may have one `.pth` below it, as the hub's repositories of 2024.
"""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass
from pathlib import Path

from hpc.disk.reading import read_json
from hpc.errors import CorruptError, EnvironmentProblem, InputError
from snw_dist.embedding.weights.keys import FORMS, few, in_a_line

_ENDINGS = ".pth", ".pt", ".bin", ".ckpt", ".safetensors", ".json"  # of files, and of no hub id
_WHOLE = "model.safetensors", "pytorch_model.bin"


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
            f"{reason}. Fetch it once where there is network (hf download {name}), then give the folder or set HF_HOME."
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
        raise CorruptError(f"{index}: not the index of a model in several files ({in_a_line(repr(error))})") from None


def _content(folder: Path) -> str:
    names = [entry.name for entry in itertools.islice(folder.iterdir(), 1000)]
    return f"it holds {few(sorted(names))}" if names else "it is empty"
