"""What a screen has left on disk; its hits are read file by file, so that a result of any size fits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from hpc.disk.reading import BadFileError
from hpc.disk.sealed import read_sealed
from hpc.errors import CorruptError, InputError
from snw_dist.screen.plan_file import RESULT
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


def hits_in(
    folder: Path, columns: Sequence[str], among: Mapping[str, Sequence[str]] = MappingProxyType({})
) -> Iterator[pd.DataFrame]:
    """The rows of each file of the hits, see `hits_of_file`; raises `CorruptError` where one cannot be read."""
    for file in sorted((folder / HITS).glob("*.parquet")):
        yield hits_of_file(file, columns, among)


def hits_of_file(
    file: Path, columns: Sequence[str], among: Mapping[str, Sequence[str]] = MappingProxyType({})
) -> pd.DataFrame:
    """These columns of one file; `among`: column -> values, of which a row must have one of each.

    Raises `CorruptError` where it cannot be read.
    """
    filters = [(column, "in", list(values)) for column, values in among.items()]
    try:
        found: pd.DataFrame = pq.read_table(file, columns=list(columns), filters=filters or None).to_pandas()
    except (OSError, pa.ArrowException) as error:
        raise CorruptError(f"{file}: cannot be read ({error}). {_AGAIN}") from None
    return found
