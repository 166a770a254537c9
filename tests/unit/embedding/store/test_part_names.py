"""A part is made and finished by any number of jobs at once, killed anywhere; and names that are only like a part's."""

from __future__ import annotations

import functools
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from hpc.errors import CorruptError, EnvironmentProblem, InputError
from hpc.job.runtime import Runtime
from hpc.save import fence
from hpc.save.fence import Fence
from snw_dist.embedding import run
from snw_dist.embedding.run import plan_work
from snw_dist.embedding.store import part_names
from snw_dist.embedding.store.commits import num_without_record
from snw_dist.embedding.store.group import create_part, finalize_part, tidy_part
from snw_dist.embedding.store.header import StoreHeader
from snw_dist.embedding.store.part_names import RECORDS, part_paths
from snw_dist.embedding.store.part_plan import PartPlan, complete_parts
from snw_dist.embedding.store.plan import EmbeddingPlan, plan_embedding
from tests.kit.embedding_tools import ENCODER, WIDTH, files_of, fill_store, header_of, names_of, random_sequences
from tests.kit.forks import fork, killed_at, wait_for_file
from tests.unit.embedding.store.test_part_plan import FIRST, LATER, config_of, embed, tables_of

SEQUENCES = random_sequences([1, 3, 5, 8, 8, 13, 17, 30, 32], seed=3)
REPEATS = int(os.environ.get("SNW_FAULT_REPEATS", "1"))
FILES = ("embedding/store.py", "embedding/commits.py", "embedding/header.py", "hpc/disk/files.py")


def make(path: Path, plan: EmbeddingPlan) -> None:
    create_part(path, plan, header_of(plan, "float16"), names_of(plan))


def finish(path: Path, plan: EmbeddingPlan) -> None:
    make(path, plan)
    fill_store(path, plan)
    finalize_part(path, plan)


@pytest.fixture(scope="module")
def plan() -> EmbeddingPlan:
    return plan_embedding(SEQUENCES, 32, 8)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory, plan: EmbeddingPlan) -> dict[str, bytes]:
    path = tmp_path_factory.mktemp("clean") / "s"
    finish(path, plan)
    return files_of(path)


@pytest.mark.faults
@pytest.mark.parametrize("step", ["make", "finish"])
def test_killed_at_any_line_while_it_is_made_or_finished(
    tmp_path: Path, plan: EmbeddingPlan, clean: dict[str, bytes], step: str
) -> None:
    """The next start gives the store that a run without a kill gives, byte for byte."""
    begun = tmp_path / "begun"
    if step == "finish":
        make(begun, plan)
        fill_store(begun, plan)

    def action(path: Path) -> Callable[[], None]:
        return functools.partial(*((make, path, plan) if step == "make" else (finalize_part, path, plan)))

    def copy(name: str) -> Path:
        if step == "finish":
            shutil.copytree(begun, tmp_path / name)
        return tmp_path / name

    lines = fork(killed_at(0, FILES, action(copy("whole")))).result()
    assert lines > 100
    for line in sorted(random.Random(REPEATS).sample(range(1, lines + 1), min(lines, 6 * REPEATS))):
        path = copy(f"{line}")
        assert fork(killed_at(line, FILES, action(path))).result() is None
        if complete_parts(path):
            tidy_part(path)  # as `embed` does
        else:
            finish(path, plan)
        assert files_of(path) == clean, line


@pytest.mark.faults
def test_many_make_and_finish_a_part_at_the_same_instant(
    tmp_path: Path, plan: EmbeddingPlan, clean: dict[str, bytes]
) -> None:
    """Each of them would sweep what the others were making: `FileNotFoundError`, and tables were missing for ever."""

    def run(path: Path, number: int) -> str:
        wait_for_file(tmp_path / "go")
        make(path, plan)
        (tmp_path / f"{path.name}-{number}").touch()
        for other in range(4):
            wait_for_file(tmp_path / f"{path.name}-{other}")
        for shard in range(number, plan.num_shards, 4):
            fill_store(path, plan, [shard])
        if len(list((path / RECORDS).glob("*.safetensors"))) == plan.num_shards:
            finalize_part(path, plan)
        return "done"

    paths = [tmp_path / f"s{i}" for i in range(3 * REPEATS)]
    children = [fork(functools.partial(run, path, number)) for path in paths for number in range(4)]
    (tmp_path / "go").touch()
    assert [child.result() for child in children] == ["done"] * len(children)
    for path in paths:
        assert files_of(path) == clean


def test_one_late_to_make_what_another_has_completed(
    tmp_path: Path, plan: EmbeddingPlan, clean: dict[str, bytes]
) -> None:
    finish(tmp_path / "s", plan)
    make(tmp_path / "s", plan)
    shutil.rmtree(tmp_path / "s" / RECORDS)
    assert files_of(tmp_path / "s") == clean


@pytest.mark.parametrize(
    "gone", ["offsets", "ids", "id_sequence/zarr.json", "digests/c/0/0", "residues/zarr.json", "cut"]
)
def test_tables_that_are_not_whole_are_made_again(
    tmp_path: Path, plan: EmbeddingPlan, clean: dict[str, bytes], gone: str
) -> None:
    path = tmp_path / "s"
    make(path, plan)
    fill_store(path, plan)
    if gone == "cut":
        (path / "lengths" / "c" / "0").write_bytes(b"")
    else:
        shutil.rmtree(path / gone) if (path / gone).is_dir() else (path / gone).unlink()
    if gone != "residues/zarr.json":
        with pytest.raises(CorruptError, match=r"cannot be read|do not fit together"):
            finalize_part(path, plan)
    finish(path, plan)
    assert files_of(path) == clean


def test_another_plan_touches_nothing(tmp_path: Path, plan: EmbeddingPlan) -> None:
    make(tmp_path / "s", plan)
    before = files_of(tmp_path / "s")
    other = plan_embedding(SEQUENCES[1:], 32, 8)
    with pytest.raises(InputError, match="made from other input or settings"):
        make(tmp_path / "s", other)
    assert files_of(tmp_path / "s") == before


def planned_part(path: Path) -> tuple[PartPlan, StoreHeader]:
    planned = plan_work(config_of(path), tables_of({str(i): text for i, text in enumerate(SEQUENCES)}), [], False)
    assert planned is not None
    return planned, planned.header(ENCODER, "float16", WIDTH)


@pytest.mark.parametrize("refused", [True, False])
def test_a_part_that_another_job_completes_while_it_is_claimed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: bool
) -> None:
    planned, header = planned_part(tmp_path / "s")

    def late(folder: Path, attempt: str, name: str) -> Fence:
        create_part(planned.path, planned.plan, header, planned.names)
        fill_store(planned.path, planned.plan)
        finalize_part(planned.path, planned.plan)
        if refused:
            raise EnvironmentProblem("in use by attempt 7-0")
        return Fence(folder, attempt, name)

    monkeypatch.setattr(run, "Fence", late)
    job = cast(Runtime, SimpleNamespace(attempt="8-0", array_task=0))
    assert run._open(tmp_path / "s", planned, header, job) is None
    before = files_of(tmp_path / "s")
    monkeypatch.undo()
    run._tidy(tmp_path / "s", "9-0")  # as the next look at the store does
    assert not (tmp_path / "s" / RECORDS).exists()
    assert files_of(tmp_path / "s") == {name: data for name, data in before.items() if RECORDS not in name}


def test_a_part_that_is_being_mended_is_not_tidied(
    tmp_path: Path, plan: EmbeddingPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`embed` on a complete store removed the claim and the records of `embed --repair`."""
    monkeypatch.setattr(fence, "BEAT_S", 0.1)
    finish(tmp_path / "s", plan)
    mending = Fence(tmp_path / "s" / RECORDS, "7-0", run.OWNER)
    run._tidy(tmp_path / "s", "8-0")
    mending.check()
    mending.release()
    run._tidy(tmp_path / "s", "8-0")
    assert not (tmp_path / "s" / RECORDS).exists()


def test_the_last_task_is_seen_though_the_listing_is_late(
    tmp_path: Path, plan: EmbeddingPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "s", plan)
    fill_store(tmp_path / "s", plan)
    monkeypatch.setattr(Path, "glob", lambda self, pattern: iter(()))
    assert num_without_record(tmp_path / "s", plan, range(plan.num_shards)) == 0
    (tmp_path / "s" / RECORDS / "00000001.safetensors").unlink()
    assert num_without_record(tmp_path / "s", plan, range(plan.num_shards)) == 1


# ---- names


@pytest.fixture
def store(tmp_path: Path) -> Path:
    config = config_of(tmp_path / "s")
    embed(config, tables_of(FIRST))
    embed(config, tables_of({"x": LATER[0]}), append=True)
    embed(config, tables_of({"y": LATER[1]}), append=True)
    return tmp_path / "s"


STRAY = ("append_²", "append_1 (copy)", "append_01", "append_", "append_0", "append_-1", "append_x", "append_3.old")


@pytest.mark.parametrize("name", [*STRAY, "append_٣", "append_1e1", "append_" + "9" * 40])
def test_a_stray_folder_is_passed_over_with_a_word(store: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    shutil.copytree(store / "append_1", store / name)
    part_names._pass_over.cache_clear()
    assert [part.name for part in complete_parts(store)] == ["s", "append_1", "append_2"]
    complete_parts(store)
    (record,) = caplog.records
    assert f"{store / name}: its name is not that of a part" in record.getMessage()


@pytest.mark.parametrize("number", [1, 2])
def test_a_file_in_place_of_a_part(store: Path, number: int) -> None:
    shutil.rmtree(store / f"append_{number}")
    (store / f"append_{number}").write_text("?")
    with pytest.raises(CorruptError, match=f"append_{number}: not a folder, so it is no part") as raised:
        part_paths(store)
    assert raised.value.exit_code == 3


def test_a_gap_is_named(store: Path) -> None:
    (store / "append_1").rename(store / "append_1 (copy)")
    with pytest.raises(CorruptError, match=r"append_1: missing, though append_2 is there"):
        part_paths(store)
    (store / "append_1").symlink_to(store / "nowhere")
    with pytest.raises(CorruptError, match=r"append_1: not a folder"):
        part_paths(store)


@pytest.mark.parametrize("inside", [[], [RECORDS], [RECORDS, ".zarr.json.0a1b.partial"], [".DS_Store"]])
def test_a_part_that_is_only_claimed_does_not_count(store: Path, inside: list[str]) -> None:
    (store / "append_3").mkdir()
    for name in inside:
        (store / "append_3" / name).mkdir()
    assert len(part_paths(store)) == 3
    (store / "append_3").rename(store / "append_4")
    assert len(part_paths(store)) == 3


def test_a_file_or_another_folder_in_place_of_the_store(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("?")
    with pytest.raises(InputError, match="s: not a folder, so it is no embedding store"):
        complete_parts(tmp_path / "s")
    (tmp_path / "t").mkdir()
    assert complete_parts(tmp_path / "t") == []
    (tmp_path / "t" / "thesis.txt").write_text("!")
    with pytest.raises(InputError, match=r"t: holds something else .*\. Choose another store\.path"):
        complete_parts(tmp_path / "t")


def test_stray_names_among_the_records(tmp_path: Path, plan: EmbeddingPlan, clean: dict[str, bytes]) -> None:
    make(tmp_path / "s", plan)
    fill_store(tmp_path / "s", plan)
    for name in ("x.safetensors", "00000000 (copy).safetensors", "9.safetensors"):
        (tmp_path / "s" / RECORDS / name).write_text("?")
    (tmp_path / "s" / RECORDS / "folder").mkdir()
    finalize_part(tmp_path / "s", plan)
    assert files_of(tmp_path / "s") == clean
