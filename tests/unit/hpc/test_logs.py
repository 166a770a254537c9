import json
import logging
import math
import re
import struct

import numpy as np
import pytest

from hpc.logs import JsonLines, read_json_lines, setup_logging


@pytest.fixture
def root_logger():
    """Gives the root logger back as it was."""
    root = logging.getLogger()
    names = ["", "hpc", "submitit"]
    before = {name: (logging.getLogger(name).level, list(logging.getLogger(name).handlers)) for name in names}
    yield root
    for handler in root.handlers:
        if handler not in before[""][1]:
            handler.close()
    for name, (level, handlers) in before.items():
        logging.getLogger(name).setLevel(level)
        logging.getLogger(name).handlers[:] = handlers


def test_format_and_file(tmp_path, root_logger, capsys):
    setup_logging(3, 4, tmp_path)
    logging.getLogger("hpc.job").debug("details")
    logging.getLogger("hpc.job").info("started")
    logging.getLogger("elsewhere").debug("noise")
    logging.getLogger("elsewhere").warning("careful")
    lines = (tmp_path / "logs" / "rank_00003.log").read_text().splitlines()
    assert [re.sub(r"^\d\d:\d\d:\d\d ", "", line) for line in lines] == [
        "r03 DEBUG hpc.job: details",
        "r03 INFO  hpc.job: started",
        "r03 WARNING elsewhere: careful",
    ]
    error = capsys.readouterr().err
    assert "careful" in error
    assert "started" not in error


def test_rank_0_speaks_and_a_second_call_replaces_the_first(tmp_path, root_logger, capsys):
    setup_logging(0, 2000, tmp_path)
    setup_logging(0, 2000, tmp_path)
    logging.getLogger("hpc.job").info("once")
    logging.getLogger("hpc.job").debug("not on the console")
    error = capsys.readouterr().err
    assert error.count("once") == 1
    assert "r0000 INFO  hpc.job: once" in error
    assert "not on" not in error
    assert (tmp_path / "logs" / "rank_00000.log").read_text().count("once") == 1


def test_floats_come_back_to_the_bit(tmp_path):
    values = [0.1, 1 / 3, 5e-324, 1.7976931348623157e308, -0.0, float(np.float32(0.1))]
    with JsonLines(tmp_path / "metrics.jsonl") as file:
        file.write({"values": values, "single": np.float32(0.1), "count": np.int64(3), "flag": True, "none": None})
    (record,) = read_json_lines(tmp_path / "metrics.jsonl")
    assert [struct.pack("d", v) for v in record["values"]] == [struct.pack("d", v) for v in values]
    assert record["single"] == float(np.float32(0.1))
    assert (record["count"], record["flag"], record["none"]) == (3, True, None)


def test_not_a_number_becomes_null_and_lines_are_strict_json(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with JsonLines(path) as file:
        file.write({"step": 1, "loss": math.nan, "more": {"x": [math.inf, np.float64("nan")]}})
        with pytest.raises(TypeError, match="object cannot be written"):
            file.write({"step": 2, "loss": object()})
        file.write({"step": 3})

    def refuse(constant):
        raise AssertionError(constant)

    first, second = path.read_text().splitlines()
    assert json.loads(first, parse_constant=refuse) == {"step": 1, "loss": None, "more": {"x": [None, None]}}
    assert json.loads(second) == {"step": 3}


def test_each_line_is_there_at_once(tmp_path):
    with JsonLines(tmp_path / "deep" / "metrics.jsonl") as file:
        file.write({"step": 1})
        assert list(read_json_lines(file.path)) == [{"step": 1}]


@pytest.mark.parametrize("torn", [b'{"step": 4, "lo', b"x" * 200_000])
def test_a_torn_last_line_is_dropped_at_opening(tmp_path, torn):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 3}\n' + torn)
    assert list(read_json_lines(path)) == [{"step": 3}]
    with JsonLines(path) as file:
        file.write({"step": 4})
    assert path.read_bytes() == b'{"step": 3}\n{"step": 4}\n'


def test_truncate_after_forgets_later_steps_and_goes_on(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with JsonLines(path) as file:
        for step in range(6):
            file.write({"step": step, "loss": 1 / (step + 3)})
        file.write({"event": "no step"})
        before = path.read_bytes().splitlines(keepends=True)
        assert file.truncate_after(2) == 3
        assert path.read_bytes() == b"".join([*before[:3], before[6]])
        assert file.truncate_after(2) == 0
        file.write({"step": 3})
    assert [record.get("step") for record in read_json_lines(path)] == [0, 1, 2, None, 3]
    assert [item.name for item in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_forget_one_kind_at_one_step(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with JsonLines(path) as file:
        for kind in ("train", "validation"):
            for step in (1, 2):
                file.write({"kind": kind, "step": step})
        file.write({"event": "neither"})
        before = path.read_bytes().splitlines(keepends=True)
        assert file.forget("validation", 2) == 1
        assert path.read_bytes() == b"".join([*before[:3], before[4]])
        assert file.forget("validation", 2) == 0


def test_a_damaged_line_is_left_out_with_a_warning(tmp_path, caplog):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n{"ste\n7\n{"step": 2}\n')
    with caplog.at_level(logging.WARNING, logger="hpc.logs"):
        assert [record["step"] for record in read_json_lines(path)] == [1, 2]
    assert "metrics.jsonl:2" in caplog.text
    assert "metrics.jsonl:3" in caplog.text


def test_a_line_that_did_not_fit_is_taken_back(tmp_path, monkeypatch):
    class Short:
        def __init__(self, file):
            self.file = file

        def write(self, data):
            return self.file.write(data[:5])

        def fileno(self):
            return self.file.fileno()

    with JsonLines(tmp_path / "metrics.jsonl") as file:
        file.write({"step": 1})
        real = file._file
        monkeypatch.setattr(file, "_file", Short(real))
        with pytest.raises(OSError, match="not written as a whole"):
            file.write({"step": 2})
        monkeypatch.setattr(file, "_file", real)
        file.write({"step": 3})
    assert [record["step"] for record in read_json_lines(tmp_path / "metrics.jsonl")] == [1, 3]
    assert (tmp_path / "metrics.jsonl").stat().st_size == 24
