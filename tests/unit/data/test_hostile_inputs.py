"""Any table, FASTA and score file, of random bytes or of good content that was changed, through the whole of `prepare`.

It ends with counts that add up, or with an error that names the file; never with a traceback, never too late, and never
with more memory than a bound. All runs are in one child process whose memory is limited.
"""

from __future__ import annotations

import datetime
import decimal
import gzip
import io
import json
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.data_inputs import LIGANDS, PAIRS, RECEPTORS
from tests.kit.hostile import bounded
from tests.kit.hostile_text import changed
from tests.kit.rosetta_inputs import score_file

SECONDS = 60
"""For one small input; it takes some milliseconds."""
SERVER = """
import json, resource, sys, traceback
from hpc.errors import InputError
from snw_dist.config import config_from_dict
from snw_dist.data.prepare import prepare
import logging
import pyarrow.parquet

def answer(values):
    try:
        summary = prepare(config_from_dict(values))
    except InputError as error:
        return {"code": int(error.exit_code), "said": str(error)}
    except BaseException:
        return {"code": -1, "said": traceback.format_exc()}
    return {"code": 0, "summary": json.loads(summary.to_json())}

out = sys.stdout
sys.stdout = sys.stderr
limited = False
for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))), file=out, flush=True)
    if not limited:  # the first one is good: libraries are loaded, and have made their threads
        size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + 2**30, size + 2**30))
        limited = True
"""


class Child:
    """Runs `prepare`, one request after another; a traceback, a crash or no answer is an error here."""

    def __init__(self) -> None:
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen([sys.executable, "-c", SERVER], **pipes)
        self.answers: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.answers.put(line)
        self.answers.put("")

    def __call__(self, values: dict[str, Any]) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(values) + "\n")
        self.process.stdin.flush()
        answer = self.answers.get(timeout=SECONDS)
        assert answer, f"ended with {self.process.wait()}"
        found: dict[str, Any] = json.loads(answer)
        return found

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture(scope="module")
def child(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    child = Child()
    first = run(child, tmp_path_factory.mktemp("first"), {})
    assert first["code"] == 0, first
    yield child
    child.close()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


def parquet() -> bytes:
    buffer = io.BytesIO()
    pd.read_csv(io.StringIO(PAIRS)).to_parquet(buffer)
    return buffer.getvalue()


def _decoys() -> dict[str, dict[str, float]]:
    return {f"rec{r}_pep{i}_{k:04d}": {"I_sc": -i - k / 10} for r in "AB" for i in range(1, 5) for k in (1, 2)}


TAG = r"(?P<receptor>[^_]+)_(?P<ligand>[^_]+)_\d+"
FASC = "".join(json.dumps({"decoy": f"out/{tag}.pdb", **terms}) + "\n" for tag, terms in _decoys().items())
CLASSIC = "pdb name: d nstruct: 16\n" + "".join(
    f"filename: {tag}.pdb I_sc: {terms['I_sc']} rmsd: 1.0 \n" for tag, terms in _decoys().items()
)
SILENT = score_file(_decoys()).replace(" \n", " \nREMARK BINARY SILENTFILE\n", 1)
TABLES = {"pairs.csv": PAIRS.encode(), "pairs.tsv": PAIRS.replace(",", "\t").encode(), "pairs.parquet": parquet()}
AFFINITIES = PAIRS.replace("label", "ic50").replace("0.9", ">10000").replace("0.2", '"<= 5"').encode()
SCORES = {
    "x.sc": score_file(_decoys()).encode(),
    "x.silent": SILENT.encode(),
    "x.fasc": FASC.encode(),
    "x.txt": CLASSIC.encode(),
}


def run(child: Child, folder: Path, files: dict[str, bytes], **data: Any) -> dict[str, Any]:
    """Prepare small good inputs of which some are others; checks what holds whatever they are."""
    named = {"ligands.fasta": LIGANDS.encode(), "receptors.fasta": RECEPTORS.encode()} | files
    pairs = next((name for name in named if "fasta" not in name), "pairs.csv")
    named.setdefault(pairs, PAIRS.encode())
    for name, content in named.items():
        (folder / name).write_bytes(content)
    fastas = [next(name for name in named if name.startswith(side)) for side in ("ligands", "receptors")]
    paths = dict(zip(("ligands", "receptors", "pairs"), map(str, (folder / n for n in (*fastas, pairs))), strict=True))
    config = {"data": paths | data, "run": {"folder": str(folder / "runs")}}
    answer = child(config)
    if answer["code"]:
        _check_error(answer, [folder / name for name in (*fastas, pairs)])
    else:
        _check_summary(answer["summary"], folder / "runs" / "run" / "data")
    return answer


def _check_error(answer: dict[str, Any], paths: list[Path]) -> None:
    assert answer["code"] == 2, answer["said"]
    lines = answer["said"].splitlines()
    named = (*map(str, paths), *(f"{paths[0].parent}/{name}:" for name in ("own.sc", "good.fasc", "good2.fasc")))
    assert any(name in lines[0] for name in named), lines
    assert max(map(len, lines)) < 5_000
    assert len(lines) < 20
    rejected = [line for line in lines if line.startswith(str(paths[0].parent))]
    assert all(line.removeprefix(str(paths[0].parent)).split(":")[1].strip() for line in rejected)


def _check_summary(summary: dict[str, Any], folder: Path) -> None:
    counts = summary["counts"]
    for count in counts.values():
        assert count["read"] == count["kept"] + count["merged"] + count["rejected"]
    used = sum(split["pairs"] for split in summary["splits"].values())
    assert used + sum(summary["dropped"].values()) == counts["pairs"]["kept"]
    rejects = pd.read_csv(folder / "rejects.csv", dtype=str, keep_default_na=False)
    assert len(rejects) == sum(count["rejected"] for count in counts.values())
    assert (rejects["line"].astype(int) > 0).all()
    assert (rejects["file"] != "").all()
    assert (rejects["reason"] != "").all()


WAYS = st.fixed_dictionaries(
    {
        "on_invalid": st.sampled_from(["skip", "skip", "error"]),
        "split": st.sampled_from([{}, {}, {"method": "random"}, {"method": "ligand_cold", "clusters": "identical"}]),
    }
)


def any_of(content: bytes) -> st.SearchStrategy[bytes]:
    return st.one_of(changed(content), changed(content), changed(content), st.binary(max_size=60))


@bounded(150)
@given(data=st.data())
def test_any_table(child: Child, place: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(list(TABLES)))
    run(child, place, {name: data.draw(any_of(TABLES[name]))}, **data.draw(WAYS))


KINDS: list[Any] = [
    *(["pep1", "pep2", None, "x"], [b"pep1", b"\xff", b"", b"recA"], [1, 2, 3, None], [0.5, float("nan"), 1.0, -1.0]),
    *([True, False, None, True], [[1], [], None, [2]], [{"a": 1}] * 4, [None] * 4, ["train", "val", "test", "a b"]),
    *([decimal.Decimal("0.5")] * 4, [datetime.date(2020, 1, 1)] * 4, ["=", "<", ">", 0], ["> 5", "5 nM", "", "nan"]),
]


@bounded(80)
@given(data=st.data())
def test_any_types_of_columns(child: Child, place: Path, data: st.DataObject) -> None:
    """Parquet says what the types are, and they may be any."""
    good = pd.read_csv(io.StringIO(PAIRS))
    columns = {name: good[name].tolist() for name in good}
    for _ in range(data.draw(st.integers(1, 3))):
        name = data.draw(st.sampled_from([*columns, "s", "q"]))
        columns[name] = (
            [str(v) for v in KINDS[-2]] if name == "q" else data.draw(st.sampled_from(KINDS[:-2] + KINDS[-1:]))
        )
    arrays = {name: pa.array(values) for name, values in columns.items()}
    for name, array in arrays.items():
        if data.draw(st.booleans()) and not (pa.types.is_nested(array.type) or pa.types.is_null(array.type)):
            arrays[name] = array.dictionary_encode()
    buffer = io.BytesIO()
    pq.write_table(pa.table(arrays), buffer)
    way = data.draw(WAYS)
    if data.draw(st.booleans()):
        way |= {"scores": {"term": "s", "transform": "log_affinity"}, "columns": {"inequality": "q"}}
    run(child, place, {"pairs.parquet": buffer.getvalue()}, **way)


@bounded(60)
@given(data=st.data())
def test_any_table_of_affinities(child: Child, place: Path, data: st.DataObject) -> None:
    scores = {"term": "ic50", "transform": "log_affinity"}
    run(child, place, {"pairs.csv": data.draw(any_of(AFFINITIES))}, scores=scores, **data.draw(WAYS))


@bounded(150)
@given(data=st.data())
def test_any_fasta(child: Child, place: Path, data: st.DataObject) -> None:
    content = data.draw(any_of(LIGANDS.encode()))
    answer = run(child, place, {"ligands.fasta": content}, **data.draw(WAYS))
    if not answer["code"] and content[:1] in b">\n\xef":
        records = [line for line in content.removeprefix(b"\xef\xbb\xbf").split(b"\n") if line.startswith(b">")]
        assert answer["summary"]["counts"]["ligands"]["read"] == len(records)


@bounded(150)
@given(data=st.data())
def test_any_score_file(child: Child, place: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(list(SCORES)))
    way = data.draw(WAYS) | {"split": {"method": data.draw(st.sampled_from(["random", "receptor_cold"]))}}
    way["split"]["clusters"] = "identical"
    run(child, place, {name: data.draw(any_of(SCORES[name]))}, scores={"term": "I_sc", "description": TAG}, **way)


@bounded(40)
@given(data=st.data())
def test_any_score_file_of_a_pair(child: Child, place: Path, data: st.DataObject) -> None:
    """A table that names a score file for each pair."""
    (place / "own.sc").write_bytes(data.draw(any_of(SCORES["x.sc"])))
    (place / "good.fasc").write_bytes(SCORES["x.fasc"])
    table = "ligand_id,receptor_id,split,file\npep1,recA,train,own.sc\npep2,recA,train,good.fasc\n"
    table += "pep3,recB,val,good2.fasc\npep4,recB,test,none.sc\n"
    (place / "good2.fasc").write_bytes(SCORES["x.fasc"])
    columns = {"score_file": "file"}
    way = data.draw(WAYS) | {"columns": columns, "scores": {"term": "I_sc"}}
    run(child, place, {"pairs.csv": data.draw(st.just(table.encode()) | changed(table.encode()))}, **way)


@pytest.mark.parametrize(
    "content",
    [
        b",".join(b"c%d" % i for i in range(300_000)) + b"\n",
        PAIRS.encode() + b"x" * (17 << 20),
        PAIRS.encode() + b"pep1,recA,0.9,train\n" * 300_000,
        b"\n" * (1 << 20),
        PAIRS.encode() + b'"' * (1 << 20),
        gzip.compress(b"\0" * (1 << 28)),
    ],
    ids=["columns", "line", "rows", "empty lines", "quotes", "bomb"],
)
def test_large_tables(child: Child, place: Path, content: bytes) -> None:
    run(child, place, {"pairs.csv": content})
    run(child, place, {"ligands.fasta": content})
