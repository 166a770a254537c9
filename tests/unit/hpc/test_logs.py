import logging
import re

import pytest

from hpc.logs import log_tail, setup_logging


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
    logging.getLogger("hpc.job.run").debug("details")
    logging.getLogger("hpc.job.run").info("started")
    logging.getLogger("elsewhere").debug("noise")
    logging.getLogger("elsewhere").warning("careful")
    lines = (tmp_path / "logs" / "rank_00003.log").read_text().splitlines()
    assert [re.sub(r"^\d\d:\d\d:\d\d ", "", line) for line in lines] == [
        "r03 DEBUG hpc.job.run: details",
        "r03 INFO  hpc.job.run: started",
        "r03 WARNING elsewhere: careful",
    ]
    error = capsys.readouterr().err
    assert "careful" in error
    assert "started" not in error


def test_rank_0_speaks_and_a_second_call_replaces_the_first(tmp_path, root_logger, capsys):
    setup_logging(0, 2000, tmp_path)
    setup_logging(0, 2000, tmp_path)
    logging.getLogger("hpc.job.run").info("once")
    logging.getLogger("hpc.job.run").debug("not on the console")
    error = capsys.readouterr().err
    assert error.count("once") == 1
    assert "r0000 INFO  hpc.job.run: once" in error
    assert "not on" not in error
    assert (tmp_path / "logs" / "rank_00000.log").read_text().count("once") == 1


def test_the_end_of_a_log_has_no_warnings_of_python(tmp_path):
    """They were all that was shown of a rank that was killed, and looked like the reason."""
    warning = "/a/c10d.py:83: FutureWarning: `x` is deprecated. Use `y`.\n  return func(*args)\n"
    (tmp_path / "log").write_text(f"step 7\n{warning}  indented\n{warning}Error: no such device\n{warning}")
    assert log_tail(tmp_path / "log") == ["step 7", "  indented", "Error: no such device"]
    (tmp_path / "log").write_text(warning * 2)
    assert log_tail(tmp_path / "log") == []
