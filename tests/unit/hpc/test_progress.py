import json
import math

from hpc.progress import ProgressFile, read_progress, summarise


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def test_round_trip_with_rate_and_figures(tmp_path):
    clock = Clock()
    file = ProgressFile(tmp_path / "progress", 3, clock)
    file.update("train", 10, 100, "steps")
    clock.now += 5
    file.update("train", 20, 100, "steps", loss=0.5, lr=math.nan)
    (record,) = read_progress(tmp_path / "progress")
    assert (record.rank, record.kind, record.done, record.total, record.unit) == (
        3,
        "train",
        20,
        100,
        "steps",
    )
    assert record.rate == 2.0
    assert record.figures == {"loss": 0.5, "lr": None}
    assert (tmp_path / "progress" / "rank_00003.json").exists()


def test_writes_are_rare_unless_forced_or_finished(tmp_path):
    clock = Clock()
    file = ProgressFile(tmp_path, 0, clock)

    def shown():
        return read_progress(tmp_path)[0].done

    file.update("embed", 1, 10, "shards")
    clock.now += 0.4
    file.update("embed", 2, 10, "shards")
    assert shown() == 1
    file.update("embed", 3, 10, "shards", force=True)
    assert shown() == 3
    clock.now += 0.1
    file.update("embed", 10, 10, "shards")
    assert shown() == 10
    clock.now += 0.5
    file.update("embed", 11, 20, "shards")
    assert shown() == 11


def test_a_new_start_of_a_rank_forgets_the_old_report(tmp_path):
    ProgressFile(tmp_path, 0).update("train", 1, 2, "steps")
    ProgressFile(tmp_path, 0)
    assert read_progress(tmp_path) == []


def test_reader_leaves_out_what_it_cannot_read(tmp_path):
    assert read_progress(tmp_path / "missing") == []
    ProgressFile(tmp_path, 0).update("train", 1, 2, "steps")
    (tmp_path / "rank_00001.json").write_text('{"rank": 1, "kin')
    (tmp_path / "rank_00002.json").write_text('{"rank": 2, "kinds": {"train": {"new": 1}}}')
    (tmp_path / "rank_00003.json").write_text("[1]")
    (tmp_path / "rank_00004.json").write_text(json.dumps({"rank": 4, "kinds": None}))
    assert [record.rank for record in read_progress(tmp_path)] == [0]


def test_summary_adds_what_ranks_share_out(tmp_path):
    clock = Clock()
    files = [ProgressFile(tmp_path, rank, clock) for rank in range(2)]
    for file in files:
        file.update("embed", 0, 100, "shards")
    clock.now += 10
    files[0].update("embed", 20, 100, "shards")
    files[1].update("embed", 30, 100, "shards", tokens=7)
    files[0].update("check", 0, 5, "shards", force=True)
    files[0].update("nothing to do", 0, 0, "shards", force=True)
    embed, check = summarise(read_progress(tmp_path))
    assert (embed.kind, embed.done, embed.total, embed.num_ranks) == ("embed", 50, 100, 2)
    assert embed.eta_s == 10.0
    assert embed.figures == {"tokens": 7.0}
    assert (check.kind, check.eta_s) == ("check", None)


def test_odd_numbers_are_shown_or_left_out(tmp_path):
    def kind(**changes):
        values = {"done": 1, "total": 2, "unit": "steps", "rate": 1.0, "figures": {}, "updated": 0.0}
        return {"rank": 0, "kinds": {"train": values | changes}}

    odd = [
        {"done": 10**400},
        {"done": "1"},
        {"rate": 10**400},
        {"figures": {"loss": "x"}},
        {"figures": []},
        {"unit": 5},
    ]
    for number, changes in enumerate(odd):
        (tmp_path / f"rank_{number:05d}.json").write_text(json.dumps(kind(**changes)))
    assert read_progress(tmp_path) == []
    (tmp_path / "rank_00000.json").write_text(json.dumps(kind(rate=5e-324, total=2**62)))
    assert summarise(read_progress(tmp_path))[0].eta_s is None
