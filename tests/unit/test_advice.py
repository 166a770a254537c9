"""What a message tells the user to type is there: every option, key, value and command that a source names."""

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import typer
from pydantic import TypeAdapter, ValidationError

from launch import (
    compare,
    doctor,
    embed,
    evaluate,
    export,
    init,
    inspect,
    predict,
    prepare,
    report,
    runs,
    screen,
    status,
    train,
)
from snw_dist.config import SnwConfig

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("hpc", "launch", "snw_dist")
SOURCES = [str(p.relative_to(ROOT)) for package in PACKAGES for p in sorted((ROOT / package).rglob("*.py"))]
MODULES = {"compare": compare, "doctor": doctor, "embed": embed, "evaluate": evaluate, "prepare": prepare}
MODULES |= {"export": export, "init": init, "inspect": inspect, "predict": predict, "report": report}
MODULES |= {"runs": runs, "screen": screen, "status": status, "train": train}
OPTIONS = {
    name: {option for param in typer.main.get_command(module.app).params for option in param.opts}
    for name, module in MODULES.items()
}
STARTERS = ("compare", "doctor", "embed", "evaluate", "train")
SPEAKERS = {
    "hpc/": STARTERS,
    "snw_dist/": tuple(
        name for name in MODULES if name not in ("init", "predict", "runs", "screen")
    ),  # these read none
    "snw_dist/bundle/": ("export",),
    "snw_dist/report/": ("report",),
    "snw_dist/report/comparison/": ("compare",),
    "snw_dist/report/screening/": ("screen",),
    "snw_dist/inspect/": ("inspect",),
    "snw_dist/scoring/": ("predict",),
    "snw_dist/screen/": ("screen",),
    "snw_dist/doctor.py": ("doctor",),
    "snw_dist/evaluate/": ("evaluate", "compare"),
    "snw_dist/evaluate/compare/": ("compare",),
    "snw_dist/runs/": ("runs",),
    "snw_dist/starting/": ("init",),
    "snw_dist/train/": ("train", "compare"),
    "snw_dist/trained_run/": ("train", "compare"),
    **{f"launch/{name}.py": (name,) for name in MODULES},
}
"""Which commands may print what stands in a source, by the longest of these that its path begins with."""
OF_OTHERS = {
    "hpc/ranks/requeue.py": {"--oneliner"},
    "hpc/ranks/preflight.py": {"--shm-size", "--oneliner"},
    "hpc/submit/sbatch.py": {"--kill-on-bad-exit", "--wait", "--export", "--cpus-per-task", "--mpi"},
    "hpc/submit/allocation.py": {
        *("--array", "--unbuffered", "--open-mode", "--output", "--error", "--ntasks", "--ntasks-per-node"),
    },
    "hpc/ranks/topology.py": {"--array", "--ntasks", "--ntasks-per-node"},
    "hpc/ranks/work_queue.py": {"--mpi"},
    "snw_dist/config_file.py": {"--layer"},  # only embed has it, and names it as it was given
    "snw_dist/command.py": {"--help"},
    "snw_dist/data/splits/clusters.py": {
        *("--cluster-mode", "--single-step-clustering", "--add-self-matches", "--max-seqs", "--comp-bias-corr"),
        *("--mask", "--spaced-kmer-mode", "--min-ungapped-score", "--threads", "--min-seq-id"),
    },
}
"""Options of other programs."""
FILES = {"model.safetensors", "scores.parquet", "store.zarr", "data.pkl", "evaluate.py", "split.py"}
"""Names that only look like keys."""
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
COMMAND = re.compile(r"snw-dist ([a-z_]+)((?: --?[a-z-]+)*)")
"""Not by the file of its launcher, which who has installed the package does not have."""
SECTIONS = [field.name for field in dataclasses.fields(SnwConfig)]
KEY = re.compile(rf"(?<![\w./{{-])({'|'.join([*SECTIONS, 'columns', 'scores', 'split'])})((?:\.[a-z_]+)+)(?![\w/(])")
GIVEN = re.compile(KEY.pattern + r"(?: ?= ?| to |, for instance to )[\"']?([\w-]+(?:\.\d+)?)")
"""A key and the value that it is to have."""


def texts(file: str) -> Iterator[tuple[int, str]]:
    """Line and text of all strings but docstrings; what an f-string puts in stands as {}."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    apart = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            apart |= {id(value) for value in node.values}
            parts = [str(value.value) if isinstance(value, ast.Constant) else "{}" for value in node.values]
            yield node.lineno, "".join(parts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in apart:
            yield node.lineno, node.value


def type_of(key: str) -> Any:
    """Of a key of the configuration; raises `KeyError` where there is none."""
    return reduce(lambda kind, name: get_type_hints(kind, include_extras=True)[name], key.split("."), SnwConfig)


def mistakes(file: str, text: str) -> Iterator[str]:
    """What a text names that is not there, or not where who reads it would type it."""
    yield from [f"{file[0]}: say snw-dist {file[1]}" for file in re.finditer(r"launch/([a-z_]+)\.py", text)]
    named = COMMAND.findall(text)
    for command, options in named:
        yield from [] if command in OPTIONS else [f"no command snw-dist {command}"]
        yield from (f"{command} has no {option}" for option in options.split() if option not in OPTIONS[command])
    there = {option for _, options in named for option in options.split()} | OF_OTHERS.get(file, set())
    speakers = SPEAKERS.get(max((known for known in SPEAKERS if file.startswith(known)), key=len, default=""), STARTERS)
    for option in OPTION.findall(text) if not file.startswith("launch/_") else []:  # which declare them
        lacking = [speaker for speaker in speakers if option not in OPTIONS[speaker] | there]
        yield from [f"{option}: {', '.join(lacking)} may say it, and do not have it"] if lacking else []
    for match in KEY.finditer(text):
        if match[0] not in FILES:
            try:
                type_of(match[0])
            except (KeyError, TypeError):
                yield f"no key {match[0]}"
    for section, rest, value in GIVEN.findall(text):
        if value != "a" and section + rest not in FILES:
            try:
                TypeAdapter(type_of(section + rest)).validate_python(None if value == "null" else value)
            except ValidationError:
                yield f"{section + rest} does not take {value}"
            except KeyError:  # told above
                pass


@pytest.mark.parametrize("file", SOURCES)
def test_what_messages_name_is_there(file: str) -> None:
    found = [f"{file}:{line}: {mistake}" for line, text in texts(file) for mistake in mistakes(file, text)]
    assert not found, "\n".join(found)
