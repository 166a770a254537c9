"""Stores that somebody has made to do harm, all digests right: an error of one line, and no memory for it."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc.errors import CorruptError, InputError
from snw_dist.embedding.row_reader import read_rows
from snw_dist.embedding.store.commits import RECORDS, read_record
from snw_dist.embedding.store.plan import plan_embedding
from snw_dist.embedding.store.reader import StoreReader
from snw_dist.embedding.store.shard_file import crc32c
from snw_dist.embedding.store.verify import load_tables, verify_files, verify_shard
from tests.kit.embedding_tools import fill_store, finished_store, open_store, put, random_sequences, sign
from tests.kit.hostile import bounded, mutated

SEQUENCES = random_sequences([3, 8, 9, 9, 17, 20, 30, 31, 32])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("made") / "s"
    finished_store(path, SEQUENCES)
    return path


@pytest.fixture(scope="module")
def filling(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one committed shard."""
    path = tmp_path_factory.mktemp("filling") / "s"
    fill_store(path, open_store(path, SEQUENCES[:3]))
    return path


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "s")
    return tmp_path / "s"


def use(path: Path) -> None:
    """All that reads a store; each error is one line of ours."""
    with contextlib.suppress(InputError, CorruptError):
        try:
            reader = StoreReader(path)
            for index in range(len(reader.lengths)):
                read_rows(reader, index)
        except (InputError, CorruptError) as error:
            one_line(error)
            raise
    try:
        header, damage = verify_files(path)
        assert all("\n" not in str(item) and len(str(item)) < 2000 for item in damage)
        if header is not None:
            tables = load_tables(path, header)
            for shard in range(min(header.num_shards, 8)):
                verify_shard(path, header, tables, shard)
    except (InputError, CorruptError) as error:
        one_line(error)


def one_line(error: Exception) -> None:
    assert "\n" not in str(error), error
    assert len(str(error)) < 2000


def in_little_memory(path: Path) -> subprocess.CompletedProcess[str]:
    """`use` in a process that may take 300 MB more than it has after its imports."""
    code = f"""
        import resource, sys
        from pathlib import Path
        sys.path[:0] = [{str(Path(__file__).parents[4])!r}]
        from tests.unit.embedding.store.test_hostile import use
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + 300 * 2**20,) * 2)
        use(Path({str(path)!r}))
        print("done")
    """
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture(scope="module")
def bomb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chunk of a few kilobytes that unpacks to half a gigabyte."""
    file = tmp_path_factory.mktemp("bomb") / "0"
    with gzip.open(file, "wb", compresslevel=1) as out:
        for _ in range(64):
            out.write(bytes(2**23))
    assert file.stat().st_size < 3e6
    return file


@pytest.mark.parametrize("name", ["offsets", "digests", "ids"])
def test_a_chunk_that_unpacks_to_gigabytes_is_not_unpacked(store: Path, bomb: Path, name: str) -> None:
    metadata = json.loads((store / name / "zarr.json").read_text())
    metadata["codecs"] = [{"name": "bytes"}, {"name": "gzip", "configuration": {"level": 1}}]
    (store / name / "zarr.json").write_text(json.dumps(metadata))
    (chunk,) = [file for file in (store / name / "c").rglob("*") if file.is_file()]
    shutil.copy(bomb, chunk)
    sign(store)
    _, damage = verify_files(store)
    assert f"{name}: cannot be read (zarr.json: codecs" in str(damage[0])
    if name == "ids":  # one is enough: it costs a process
        done = in_little_memory(store)
        assert (done.stdout, done.stderr) == ("done\n", "")


@pytest.mark.parametrize("what", ["zarr.json", "offsets/zarr.json", "offsets/c/0"])
@pytest.mark.parametrize("kind", ["pipe", "device", "sparse"])
def test_what_never_ends_is_no_file_of_a_store(store: Path, what: str, kind: str) -> None:
    file = store / what
    file.unlink()
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "device":
        file.symlink_to("/dev/zero")
    else:
        with file.open("wb") as out:
            out.truncate(2**40)
    with pytest.raises(CorruptError) as caught:
        StoreReader(store)
    one_line(caught.value)
    if kind != "sparse" or what == "zarr.json":  # digests are made of whole files
        use(store)


def first_to(value: Any) -> Callable[[np.ndarray], np.ndarray]:
    def change(values: np.ndarray) -> np.ndarray:
        values[0] = value
        return values

    return change


def text_to(old: str, new: str) -> Callable[[np.ndarray], np.ndarray]:
    def change(values: np.ndarray) -> np.ndarray:
        text = bytes(values)
        assert old.encode() in text
        return np.frombuffer(text.replace(old.encode(), new.encode("latin-1"), 1), dtype=np.uint8)

    return change


WRONG = {
    "id_sequence out of range": ("id_sequence", first_to(9), "stands for sequence 9"),
    "id_sequence negative": ("id_sequence", first_to(-1), "stands for sequence -1"),
    "id_sequence enormous": ("id_sequence", first_to(2**62), "not in this part"),
    "a sequence without a name": ("id_sequence", lambda v: np.where(v == 4, 5, v), "sequence 4 has no name"),
    "one number too few": ("id_sequence", lambda v: v[:-1], "not the names"),
    "an id twice": ("ids", text_to("peptide 1", "peptide 0"), "'peptide 0' is there twice"),
    "ids out of order": ("ids", text_to("peptide 1", "peptide 9"), "not in its place"),
    "another kind": ("ids", text_to("ligand\tpeptide 3", "legand\tpeptide 3"), "neither ligand nor receptor"),
    "no kind": ("ids", text_to("ligand\tpeptide 3", "ligand peptide 3"), "neither ligand nor receptor"),
    "no id": ("ids", text_to("ligand\tpeptide 3", "ligand\t"), "has no id"),
    "not UTF-8": ("ids", text_to("peptide 3", "peptid\xe9 3"), "not the names"),
    "a line too many": ("ids", text_to("peptide 3", "peptide 3\nligand\tx"), "not the names"),
    "offsets that overlap": ("offsets", lambda v: np.where(v == v[1], v[1] - 1, v), "do not fit together"),
    "offsets moved": ("offsets", lambda v: np.where(v == v[-1], v[-1] - 1, v), "do not"),
    "an offset beyond the end": ("offsets", lambda v: np.where(v == v[-1], 2**62, v), "do not fit together"),
    "a negative offset": ("offsets", first_to(-8), "do not fit together"),
    "a length of nothing": ("lengths", first_to(0), "do not fit together"),
    "an enormous length": ("lengths", first_to(2**63 - 1), "do not fit together"),
    "one residue less": ("lengths", first_to(2), "residues, the header says"),
    "a sequence twice": ("digests", lambda v: v[[1, *range(1, len(v))]], "a sequence is there twice"),
    "a digest of zeros": ("digests", first_to(0), "do not fit together"),
    "too few commits": ("commits", lambda v: v[:-1], "do not fit together"),
    "pooled of another width": ("pooled", lambda v: v[:, :-1].copy(), "pooled has the shape"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_values_with_valid_digests_do_not_verify(store: Path, case: str) -> None:
    name, change, message = WRONG[case]
    put(store, name, change)
    _, damage = verify_files(store)
    assert damage, case
    assert message in str(damage[0])
    use(store)


def signed(attributes: Any) -> bytes:
    """A header of these attributes with its own digest right, where it can have one."""

    def canonical(value: Any) -> bytes:
        return (json.dumps(value, indent=2, sort_keys=True) + "\n").encode("utf-8", "surrogatepass")

    if isinstance(attributes, dict):
        attributes = {key: value for key, value in attributes.items() if key != "header_sha256"}
        attributes["header_sha256"] = hashlib.sha256(canonical(attributes)).hexdigest()
    return canonical({"attributes": attributes, "node_type": "group", "zarr_format": 3})


@bounded(60)
@given(data=st.data())
def test_any_header(made: Path, data: st.DataObject) -> None:
    original = (made / "zarr.json").read_bytes()
    content = data.draw(st.binary(max_size=200) | mutated(json.loads(original)["attributes"]).map(signed))
    try:
        (made / "zarr.json").write_bytes(content)
        use(made)
    finally:
        (made / "zarr.json").write_bytes(original)


def use_changed(made: Path, file: Path, content: bytes) -> None:
    """Use a store with another content of one file, signed as if it were right; then it is as before."""
    before = {path: path.read_bytes() for path in (file, made / "zarr.json")}
    try:
        file.write_bytes(content)
        sign(made)
        use(made)
    finally:
        for path, original in before.items():
            path.write_bytes(original)


@bounded(60)
@given(data=st.data())
def test_any_metadata_of_an_array(made: Path, data: st.DataObject) -> None:
    file = made / data.draw(st.sampled_from(["offsets", "ids", "digests", "pooled", "residues"])) / "zarr.json"
    changed = mutated(json.loads(file.read_bytes())).map(
        lambda value: json.dumps(value).encode("utf-8", "surrogatepass")
    )
    use_changed(made, file, data.draw(st.binary(max_size=200) | changed))


@bounded(60)
@given(data=st.data())
def test_any_values_of_a_table(made: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["offsets", "lengths", "digests", "ids", "id_sequence", "commits", "pooled"]))
    (file,) = [file for file in (made / name / "c").rglob("*") if file.is_file()]
    values = bytearray(file.read_bytes()[:-4])
    for _ in range(data.draw(st.integers(1, 3))):
        values[data.draw(st.integers(0, len(values) - 1))] = data.draw(st.integers(0, 255))
    use_changed(made, file, bytes(values) + crc32c(bytes(values)).to_bytes(4, "little"))


@bounded(60)
@given(data=st.data())
def test_any_commit_record(filling: Path, data: st.DataObject) -> None:
    """Sound, or not there: never anything else."""
    plan = plan_embedding(SEQUENCES[:3], 32, 8)
    file = filling / RECORDS / "00000000.safetensors"
    content = file.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    record = json.loads(header["__metadata__"]["record"])

    def pack(header: Any) -> bytes:
        text = json.dumps(header).encode("utf-8", "surrogatepass")
        return len(text).to_bytes(8, "little") + text + content[8 + size :]

    def with_record(record: Any) -> bytes:
        return pack({**header, "__metadata__": {"record": json.dumps(record)}})

    file.write_bytes(data.draw(st.binary(max_size=200) | mutated(header).map(pack) | mutated(record).map(with_record)))
    try:
        found = read_record(filling, plan, 0)
    finally:
        file.write_bytes(content)
    assert found is None or found.pooled.shape == (3, 8)
