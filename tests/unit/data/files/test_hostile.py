"""Parquet files and prepared folders that somebody has made to do harm: one line, and no memory for it."""

from __future__ import annotations

import functools
import io
import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc.disk.files import file_digest
from hpc.errors import CorruptError, InputError
from snw_dist.data.ensure import ensure_prepared
from snw_dist.data.prepare import prepare
from snw_dist.data.prepared import Prepared, load_prepared
from snw_dist.data.tables import PAIRS, SEQUENCES
from tests.kit.data_inputs import Inputs
from tests.kit.hostile import bounded, mutated

NAMES = ("l.fasta", "r.fasta", "pairs.parquet")


@functools.cache
def many_rows() -> bytes:
    """The same row 16,777,216 times, in 4 kB."""
    part = 1 << 22
    columns = {
        "ligand_id": pa.DictionaryArray.from_arrays(pa.nulls(part, pa.int32()).fill_null(0), ["pep1"]),
        "receptor_id": pa.DictionaryArray.from_arrays(pa.nulls(part, pa.int32()).fill_null(0), ["recA"]),
        "label": pa.nulls(part, pa.float64()).fill_null(0.5),
        "split": pa.DictionaryArray.from_arrays(pa.nulls(part, pa.int32()).fill_null(0), ["train"]),
    }
    buffer = io.BytesIO()
    table = pa.table(columns)
    with pq.ParquetWriter(buffer, table.schema, compression="zstd", max_rows_per_page=part) as writer:
        for _ in range(4):
            writer.write_table(table, row_group_size=part)
    return buffer.getvalue()


def long_text_in_every_row(rows: int) -> bytes:
    """A text of 4 MB that each row has: the file holds it once."""
    indices = pa.nulls(rows, pa.int32()).fill_null(0)
    columns = {
        "ligand_id": pa.DictionaryArray.from_arrays(indices, ["p" * 2**22]),
        "receptor_id": pa.DictionaryArray.from_arrays(indices, ["recA"]),
        "label": pa.nulls(rows, pa.float64()).fill_null(0.5),
        "split": pa.DictionaryArray.from_arrays(indices, ["train"]),
    }
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer, dictionary_pagesize_limit=2**24)
    return buffer.getvalue()


def peak_bytes_of(code: str, *arguments: object) -> int:
    """The most memory that a process had which ran the code and said "refused"."""
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.stdout.split()[:1], done.stderr) == (["refused"], ""), done
    return int(done.stdout.split()[1]) * 1024


READ_ALL = """
    import sys
    from pathlib import Path
    from hpc.errors import InputError
    from snw_dist.data.files.table import read_table
    try:
        for row in read_table(Path(sys.argv[1]), {"a": "ligand_id", "b": "receptor_id", "c.label": "label"}).rows:
            pass
    except InputError as error:
        assert "\\n" not in str(error)
        # Not ru_maxrss: that counts the process from which this one was forked, too.
        print("refused", Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
"""


def test_a_few_kilobytes_of_a_billion_rows(tmp_path: Path) -> None:
    file = tmp_path / "pairs.parquet"
    file.write_bytes(many_rows())
    assert file.stat().st_size < 5_000
    assert peak_bytes_of(READ_ALL, file) < 1e9


def test_one_text_that_every_row_has(tmp_path: Path) -> None:
    file = tmp_path / "pairs.parquet"
    file.write_bytes(long_text_in_every_row(3000))
    assert file.stat().st_size < 10e6
    assert peak_bytes_of(READ_ALL, file) < 1e9


def test_it_is_told_by_the_counts(inputs: Inputs) -> None:
    config = inputs(pairs=many_rows(), names=NAMES)
    with pytest.raises(InputError, match=r"pairs\.parquet: says that it has 16,777,216 rows .* Write it again"):
        prepare(config)


@pytest.fixture
def prepared(inputs: Inputs) -> Path:
    config = inputs(scores={"term": "label"})
    prepare(config)
    return config.data_folder


def sign(folder: Path) -> None:
    """Give the summary the digests of the files as they are now."""
    summary = json.loads((folder / "summary.json").read_text())
    summary["files"] = {name: file_digest(folder / name) for name in summary["files"]}
    (folder / "summary.json").write_text(json.dumps(summary))


@pytest.mark.parametrize("name", [PAIRS, SEQUENCES])
def test_prepared_tables_of_other_rows_or_columns(prepared: Path, name: str) -> None:
    table = pq.read_table(prepared / name)
    for changed in (
        table.slice(1),
        pa.concat_tables([table, table]),
        table.drop_columns(table.schema.names[-1]),
        table.append_column("more", pa.nulls(len(table))),
        table.set_column(0, table.schema.names[0], pa.nulls(len(table), pa.list_(pa.int8()))),
    ):
        pq.write_table(changed, prepared / name)
        sign(prepared)
        with pytest.raises(CorruptError, match=rf"{name}: .*snw-dist prepare") as caught:
            load_prepared(prepared)
        assert "\n" not in str(caught.value)


def test_prepared_tables_that_unpack_to_gigabytes(prepared: Path) -> None:
    content = many_rows()
    (prepared / PAIRS).write_bytes(content)
    sign(prepared)
    with pytest.raises(CorruptError, match=r"pairs\.parquet: says that it has 16,777,216 rows"):
        load_prepared(prepared)


def use(folder: Path) -> Prepared | None:
    said = ""
    try:
        return load_prepared(folder)
    except (InputError, CorruptError) as error:
        said = str(error)
    assert "\n" not in said
    assert len(said) < 2000
    return None


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept") / "data"


@bounded(60)
@given(data=st.data())
def test_any_summary_and_transform(prepared: Path, kept: Path, data: st.DataObject) -> None:
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(prepared, kept)
    file = kept / data.draw(st.sampled_from(["summary.json", "label_transform.json"]))
    changed: Any = mutated(json.loads(file.read_text()))
    file.write_bytes(data.draw(st.binary(max_size=100) | changed.map(lambda value: json.dumps(value).encode())))
    if file.name != "summary.json":
        sign(kept)
    use(kept)


@bounded(60)
@given(data=st.data())
def test_any_bytes_of_a_prepared_table(prepared: Path, kept: Path, data: st.DataObject) -> None:
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(prepared, kept)
    file = kept / data.draw(st.sampled_from([PAIRS, SEQUENCES, "scores.parquet"]))
    content = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    file.write_bytes(content)
    sign(kept)
    use(kept)


def test_a_summary_that_is_a_pipe_or_nested(inputs: Inputs, prepared: Path) -> None:
    (prepared / "summary.json").write_text('{"made_from": ' * 5000)
    with pytest.raises(CorruptError, match=r"summary\.json: damaged: .*nested too deeply"):
        load_prepared(prepared)
    (prepared / "summary.json").unlink()
    os.mkfifo(prepared / "summary.json")
    with pytest.raises(CorruptError, match=r"summary\.json: damaged: .*not a regular file"):
        load_prepared(prepared)
    assert ensure_prepared(inputs(scores={"term": "label"})).summary["counts"]["pairs"]["kept"] == 4
