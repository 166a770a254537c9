"""The README of every room tells the truth: its commands, options, links, paths and files are those of the project."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import typer

import launch._console
import launch.compare
import launch.doctor
import launch.embed
import launch.evaluate
import launch.export
import launch.init
import launch.inspect
import launch.predict
import launch.prepare
import launch.report
import launch.runs
import launch.screen
import launch.status
import launch.train
from tests.kit.readmes import FILES, ROOT, TOP, blocks, inline_code, read, section, table, without_blocks

ROOMS = (
    *("hpc", "slurm", "snw_dist", "tests/bench", "tests/faults"),
    *(
        f"snw_dist/{room}"
        for room in (
            "bundle",
            "data",
            "embedding",
            "evaluate",
            "inspect",
            "model",
            "report",
            "scoring",
            "screen",
            "train",
        )
    ),
)
NOT_THERE = "## What is not there yet"
WHY = "## Why it is so"
LAUNCHERS = {
    module.__name__.rpartition(".")[2]: module
    for module in (
        launch.init,
        launch.prepare,
        launch.embed,
        launch.train,
        launch.evaluate,
        launch.report,
        launch.runs,
        launch.export,
        launch.predict,
        launch.screen,
        launch.inspect,
        launch.status,
        launch.compare,
        launch.doctor,
    )
}
# Programs of Slurm, of the shell and of installed packages that the READMEs call; what they do is not ours to test.
FOREIGN = {
    "apptainer",
    "conda",
    "eval",
    "hf",
    "module",
    "pip",
    "python3",
    "sacct",
    "sbatch",
    "source",
    "squeue",
    "srun",
    "tail",
}


def commands() -> list[list[str]]:
    """Every different one, of all files."""
    lines = [line for file in FILES for block in blocks("bash", file) for line in block.splitlines()]
    ours = ("python launch/", "make ", "slurm/devcluster ", "snw-dist ")
    lines += [code for file in FILES for code in inline_code(file) if code.startswith(ours)]
    return [list(words) for words in dict.fromkeys(tuple(shlex.split(line, comments=True)) for line in lines) if words]


def test_commands_are_found_in_the_readmes() -> None:
    starts = {" ".join(words[:2]) for words in commands()}
    assert {"make demo", "make test", "python launch/embed.py", "slurm/devcluster up", "make faults"} <= starts


def test_every_room_has_a_readme_that_ends_with_the_reasons() -> None:
    for room in ROOMS:
        text = without_blocks(f"{room}/README.md")
        assert text.startswith("# "), room
        assert re.findall(r"^## .*$", text, re.MULTILINE)[-1] == WHY, room


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_command_exists_and_takes_its_options(words: list[str]) -> None:
    program, *arguments = words
    if program == "python":
        script, *options = arguments
        assert (ROOT / script).is_file()
        command = typer.main.get_command(LAUNCHERS[Path(script).stem].app)
        command.make_context(script, list(options))  # parses, and raises on an unknown option or value
    elif program == "snw-dist" and arguments[0].startswith("-"):
        assert {option for param in launch._console.app.params for option in param.opts} >= set(arguments)
    elif program == "snw-dist":
        name, *options = arguments
        typer.main.get_command(LAUNCHERS[name].app).make_context(name, options)
    elif program == "make":
        targets = [word for word in arguments if "=" not in word]
        subprocess.run(["make", "-n", *arguments], cwd=ROOT, check=True, capture_output=True)
        assert all(re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE) for target in targets)
        for name in (word.split("=")[0] for word in arguments if "=" in word):
            assert re.search(rf"^{name} \?=", (ROOT / "Makefile").read_text(), re.MULTILINE), f"no setting {name}"
    elif program == "slurm/devcluster":
        text = subprocess.run([ROOT / program, "help"], check=True, capture_output=True, text=True).stdout
        assert f"{program} {arguments[0]}" in text
    else:
        assert program in FOREIGN


def test_the_top_is_short_and_leads_to_every_room() -> None:
    assert len(read(TOP).splitlines()) <= 250
    rows = table(section("## The tree"), "room")
    links = set(re.findall(r"\]\(([^)#]+)\)", " ".join(rows)))
    assert links == set(FILES) - {TOP, "README.zh.md"} | {"CHANGELOG.md"}


def anchors(file: str) -> set[str]:
    """Of the headings of a file, as the forges that show it make them."""
    headings = re.findall(r"^#+ (.*)$", without_blocks(file), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("file", FILES)
def test_links_lead_somewhere(file: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", read(file)):
        path, _, anchor = target.partition("#")
        if "://" not in target:
            there = ((ROOT / file).parent / path).resolve() if path else ROOT / file
            assert there.exists(), target
            assert not anchor or anchor in anchors(str(there.relative_to(ROOT))), target


@pytest.mark.parametrize("file", FILES)
def test_paths_exist_but_for_those_said_to_be_missing(file: str) -> None:
    missing = section(NOT_THERE)
    for code in inline_code(file):
        if re.fullmatch(r"(hpc|snw_dist|launch|slurm|tests)/[\w./-]+|[A-Z]\w+\.(md|json)|\.ci/\w+", code):
            assert (ROOT / code).exists() != (f"`{code}`" in missing), code


ROOMS_OF_SNW_DIST = sorted(path.parent for path in ROOT.glob("snw_dist/*/README.md"))


@pytest.mark.parametrize("room", ROOMS_OF_SNW_DIST, ids=lambda room: room.name)
def test_the_table_of_a_room_names_all_its_files(room: Path) -> None:
    """The first table, before the first section: files that stand in the room itself, and its inner rooms."""
    first = (room / "README.md").read_text(encoding="utf-8").split("\n## ")[0]
    named = set(re.findall(r"`([a-z_]+(?:\.py|/))`", first))
    files = {path.name for path in room.glob("*.py")} - {"__init__.py"}
    inner = {f"{path.parent.name}/" for path in room.glob("*/__init__.py")}
    assert named == files | inner


def test_the_table_of_snw_dist_names_all_its_rooms() -> None:
    first = (ROOT / "snw_dist/README.md").read_text(encoding="utf-8").split("\n\n| file |")[0]
    named = re.findall(r"^\| (?:\[|`)([a-z_]+)", first, re.MULTILINE)
    rooms = [path.parent.name for path in ROOT.glob("snw_dist/*/__init__.py")]
    assert sorted(named) == sorted(rooms)


def test_hpc_says_of_each_file_of_its_rooms_what_it_does() -> None:
    named = re.findall(r"`([a-z_]+/[a-z_]+\.py)`", section("## Which file does what", "hpc/README.md"))
    files = [path for path in (ROOT / "hpc").glob("*/*.py") if path.name != "__init__.py"]
    assert sorted(named) == sorted(str(path.relative_to(ROOT / "hpc")) for path in files)
