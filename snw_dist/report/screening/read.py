"""What a screen has left on disk; its hits are read file by file, so that a result of any size fits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from hpc.disk.reading import BadFileError
from hpc.disk.sealed import read_sealed
from hpc.errors import CorruptError, InputError, SnwError
from snw_dist.screen.library import Kind, StoredLibrary
from snw_dist.screen.plan_file import RESULT, WORK
from snw_dist.screen.result import FORMAT_VERSION, HITS

_AGAIN = "Start the same screen again: it makes its result anew."


def read_result(folder: Path) -> dict[str, Any]:
    """The content of `result.json`; raises `InputError` where there is none, `CorruptError` for a damaged one."""
    try:
        content = read_sealed(folder / RESULT)
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{folder}: no {RESULT} here, so no finished screen. Make one: snw-dist screen") from None
    except (OSError, BadFileError) as error:
        raise CorruptError(f"{folder / RESULT}: cannot be read ({error}). {_AGAIN}") from None
    if content.get("format_version") != FORMAT_VERSION:
        raise InputError(f"{folder / RESULT}: of another version of snw-dist. Make the screen again: snw-dist screen")
    return content


def hits_in(folder: Path, columns: Sequence[str]) -> Iterator[tuple[Path, pd.DataFrame]]:
    """Each file of the hits with its rows; raises `CorruptError` where one cannot be read."""
    for file in sorted((folder / HITS).glob("*.parquet")):
        yield file, hits_of_file(file, columns)


def hits_of_file(file: Path, columns: Sequence[str]) -> pd.DataFrame:
    """These columns of one file."""
    try:
        found: pd.DataFrame = pq.read_table(file, columns=list(columns)).to_pandas()
        return found
    except (OSError, pa.ArrowException) as error:
        raise CorruptError(f"{file}: cannot be read ({error}). {_AGAIN}") from None


def records_of(folder: Path, content: dict[str, Any], kind: Kind) -> dict[str, str] | None:
    """Id -> sequence of a side, in the order of the sequences; None where the folder `work` is not there any more."""
    try:
        library = StoredLibrary(folder / WORK / kind, content["screen"]["libraries"][kind])
        of, ids = library.names(np.arange(len(library), dtype=np.int64))
        sequences = library.sequences.all()
    except (SnwError, OSError):
        return None
    return {name: sequences[number] for name, number in zip(ids, of.tolist(), strict=True)}
