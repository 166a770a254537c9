"""A store and what is appended to it: which sequences go where, under which names, and what a reader sees."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import zarr

from hpc.errors import CorruptError, InputError
from snw_dist.config import SnwConfig, config_from_dict
from snw_dist.embedding.row_reader import read_rows
from snw_dist.embedding.run import own_shards, plan_work
from snw_dist.embedding.store.group import create_part, finalize_part
from snw_dist.embedding.store.part_plan import (
    PartPlan,
    Tables,
    check_mixes,
    complete_parts,
    missing_sequences,
    read_content,
)
from snw_dist.embedding.store.reader import StoreReader
from snw_dist.embedding.store.tables import read_names
from tests.kit.embedding_tools import ENCODER, WIDTH, files_of, fill_store, random_sequences, rows_of

FIRST = {"a": "ACDEF", "alias": "GHI", "b": "GHI"}
LATER = random_sequences([4, 31, 32, 40, 9], seed=5, letters="KLMNP")


def config_of(path: Path, **store: int) -> SnwConfig:
    return config_from_dict({"store": {"path": str(path), "shard_rows": 32, "chunk_rows": 8, **store}})


def tables_of(ligands: dict[str, str], receptors: dict[str, str] | None = None) -> Tables:
    return (("ligand", ligands), ("receptor", receptors or {}))


def embed(config: SnwConfig, tables: Tables, append: bool = False, finish: bool = True) -> PartPlan | None:
    """What the embedding job does, with rows that are known."""
    planned = plan_work(config, tables, complete_parts(config.store_path), append)
    if planned is not None:
        header = planned.header(ENCODER, "float16", WIDTH)
        if not planned.path.exists():
            create_part(planned.path, planned.plan, header, planned.names)
        if finish:
            fill_store(planned.path, planned.plan)
            finalize_part(planned.path, planned.plan)
    return planned


def test_every_name_keeps_its_sequence(tmp_path: Path) -> None:
    planned = plan_work(config_of(tmp_path / "s"), tables_of(FIRST, {"a": "KLMNP", "r": "GHI"}), [], False)
    assert planned is not None
    assert planned.plan.sequences == ("GHI", "ACDEF", "KLMNP")
    assert [(kind, name, planned.plan.sequences[i]) for kind, name, i in planned.names] == [
        ("ligand", "a", "ACDEF"),
        ("ligand", "alias", "GHI"),
        ("ligand", "b", "GHI"),
        ("receptor", "a", "KLMNP"),
        ("receptor", "r", "GHI"),
    ]


def test_what_is_complete_is_not_touched_by_what_comes_later(tmp_path: Path) -> None:
    config = config_of(tmp_path / "s")
    embed(config, tables_of(FIRST))
    before = files_of(tmp_path / "s")
    everything = tables_of(FIRST | {"new": LATER[0]}, dict(zip("stuv", LATER[1:], strict=True)))
    planned = embed(config, everything, append=True)
    assert planned is not None
    assert (planned.part, planned.first_sequence, len(planned.plan.sequences)) == (1, 2, 5)
    after = files_of(tmp_path / "s")
    assert {name: data for name, data in after.items() if not name.startswith("append_1/")} == before
    assert embed(config, everything, append=True) is None  # nothing is left to add
    more = tables_of({"last": "WWW", "old": "GHI"})
    again = embed(config, more, append=True)
    assert again is not None
    assert (again.part, again.first_sequence, again.plan.sequences) == (2, 7, ("WWW",))
    assert [part.name for part in complete_parts(tmp_path / "s")] == ["s", "append_1", "append_2"]

    reader = StoreReader(tmp_path / "s")
    sequences = ["ACDEF", "GHI", *LATER, "WWW"]
    assert sorted(reader.indices(sequences).tolist()) == list(range(8))
    for sequence in sequences:
        assert torch.equal(read_rows(reader, reader.index(sequence)), torch.from_numpy(rows_of(sequence)).half())
    assert "GHI" in reader
    assert "KKKK" not in reader
    names = {(kind, name): i for part in complete_parts(tmp_path / "s") for kind, name, i in read_names(part)}
    assert names["ligand", "last"] == reader.index("WWW")
    assert names["receptor", "v"] == reader.index(LATER[4])
    assert names["ligand", "alias"] == reader.index("GHI")


def test_plain_zarr_reads_what_was_appended(tmp_path: Path) -> None:
    config = config_of(tmp_path / "s")
    embed(config, tables_of(FIRST))
    planned = embed(config, tables_of({"x": LATER[2]}), append=True)
    assert planned is not None
    group = zarr.open_group(tmp_path / "s", mode="r")
    part = group["append_1"]
    assert isinstance(part, zarr.Group)
    assert (part.attrs["part"], part.attrs["first_sequence"]) == (1, 2)
    residues, offset = part["residues"], part["offsets"]
    assert isinstance(residues, zarr.Array)
    assert isinstance(offset, zarr.Array)
    rows = np.asarray(residues[int(offset[0]) : int(offset[0]) + 32])
    np.testing.assert_array_equal(rows, rows_of(LATER[2]).astype(np.float16))


def test_a_longer_sequence_gets_larger_shards_of_its_own(tmp_path: Path) -> None:
    config = config_of(tmp_path / "s")
    embed(config, tables_of(FIRST))
    long = random_sequences([100])[0]
    planned = embed(config, tables_of({"long": long}), append=True)
    assert planned is not None
    assert planned.plan.shard_rows == 104
    reader = StoreReader(tmp_path / "s")
    assert torch.equal(read_rows(reader, reader.index(long), 60, 90), torch.from_numpy(rows_of(long)[60:90]).half())


def test_a_batch_is_filled_in_place(tmp_path: Path) -> None:
    config = config_of(tmp_path / "s")
    sequences = random_sequences([5, 20, 30, 9])
    embed(config, tables_of({str(i): s for i, s in enumerate(sequences)}))
    reader = StoreReader(tmp_path / "s")
    batch = torch.full((3, 12, WIDTH), 7.0, dtype=torch.float16)
    chosen = [sequences[1], sequences[3], sequences[2]]
    reader.read_batch(batch, reader.indices(chosen), [8, 0, 3], [12, 9, 10])
    for i, (sequence, start, count) in enumerate(zip(chosen, (8, 0, 3), (12, 9, 10), strict=True)):
        expected = torch.from_numpy(rows_of(sequence)[start : start + count]).half()
        assert torch.equal(batch[i, :count], expected)
        assert (batch[i, count:] == 7.0).all()


def test_while_something_is_appended_the_rest_can_be_read(tmp_path: Path) -> None:
    config = config_of(tmp_path / "s")
    embed(config, tables_of(FIRST))
    embed(config, tables_of({"x": LATER[0]}), append=True, finish=False)
    reader = StoreReader(tmp_path / "s")
    assert len(reader.lengths) == 2
    with pytest.raises(InputError, match="is not in the store"):
        reader.index(LATER[0])
    planned = embed(config, tables_of({"x": LATER[0]}), append=True)  # goes on with the same part
    assert planned is not None
    assert planned.part == 1
    assert StoreReader(tmp_path / "s").index(LATER[0]) == 2


def test_what_cannot_be_appended(tmp_path: Path) -> None:
    config = config_of(tmp_path / "s")
    with pytest.raises(InputError, match="no complete store to append to"):
        embed(config, tables_of(FIRST), append=True)
    embed(config, tables_of(FIRST), finish=False)
    with pytest.raises(InputError, match="no complete store to append to"):
        embed(config, tables_of(FIRST), append=True)
    embed(config, tables_of(FIRST))
    with pytest.raises(InputError, match=r"complete, but 1 sequences .* Add them: snw-dist embed --append"):
        embed(config, tables_of(FIRST | {"new": "KLM"}))
    for append in (False, True):
        with pytest.raises(InputError, match=r"ligand 'a' is there with another sequence .* input\. An id stands for"):
            embed(config, tables_of({"a": "KLM"}), append=append)
    assert embed(config, tables_of({"b": "GHI"})) is None  # a part of what is there
    planned = plan_work(config, tables_of({"new": "KLM"}), complete_parts(tmp_path / "s"), True)
    assert planned is not None
    check_mixes(tmp_path / "s", planned.header(ENCODER, "float16", WIDTH))
    with pytest.raises(InputError, match=r"made with other settings \(encoder\.layers: \[2\] there, \[1\] now"):
        check_mixes(tmp_path / "s", planned.header(ENCODER | {"layers": [1]}, "float16", WIDTH))
    with pytest.raises(InputError, match="dtype: 'float16' there, 'float32' now"):
        check_mixes(tmp_path / "s", planned.header(ENCODER, "float32", WIDTH))


@pytest.mark.parametrize(
    ("there", "advice"),
    [
        ([], "there is no embedding store. Make it with: snw-dist embed"),
        (["a.txt"], "holds something else than an embedding store. Choose another store.path."),
        (["residues/", "ids/"], "an embedding store without zarr.json. Mend it: snw-dist embed --repair"),
    ],
)
def test_a_folder_that_is_no_store_is_told_alike_wherever_it_is_met(
    tmp_path: Path, there: list[str], advice: str
) -> None:
    """To make it, to mend it and to make it was what one command after the other said of a folder of something else."""
    store = tmp_path / "s"
    store.mkdir()
    for name in there:
        (store / name).mkdir() if name.endswith("/") else (store / name).write_text("x")
    ways: list[Callable[[], object]] = [lambda: StoreReader(store)]
    ways += [lambda: complete_parts(store)] if there else []  # which begins one in a folder that is empty
    for way in ways:
        with pytest.raises(InputError) as caught:
            way()
        assert str(caught.value) == f"{store}: {advice}"


def test_a_part_that_is_missing_in_between(tmp_path: Path) -> None:
    config = config_of(tmp_path / "s")
    embed(config, tables_of(FIRST))
    embed(config, tables_of({"x": LATER[0]}), append=True)
    embed(config, tables_of({"y": LATER[1]}), append=True)
    (tmp_path / "s" / "append_1").rename(tmp_path / "elsewhere")
    with pytest.raises(CorruptError, match="append_1: missing, though append_2 is there"):
        StoreReader(tmp_path / "s")


def test_content_and_what_is_missing(tmp_path: Path) -> None:
    config = config_of(tmp_path / "s")
    embed(config, tables_of(FIRST))
    content = read_content(complete_parts(tmp_path / "s"))
    assert (content.num_parts, len(content.digests), len(content.names)) == (1, 2, 3)
    tables = tables_of({"p": "KLM", "q": "GHI", "r": "KLM"}, {"s": "ACD"})
    assert missing_sequences(tables, content) == ["KLM", "ACD"]


def test_the_shards_of_array_tasks_are_disjoint_and_costliest_first() -> None:
    tasks = [own_shards(11, task, 4) for task in range(4)]
    assert tasks[0] == [8, 4, 0]
    assert sorted(shard for own in tasks for shard in own) == list(range(11))
    assert own_shards(3, 3, 8) == []
