"""The rules of the house that no other tool checks: what lies where, and who reads what."""

from __future__ import annotations

import ast
import configparser
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.faults.promises import PROMISES

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("hpc", "snw_dist", "launch")
TOP_LEVEL = set(PACKAGES) | {
    *("slurm", "tests", "setup.cfg", "README.md", "README.zh.md", "CONTRIBUTING.md"),
    *("pyproject.toml", ".ci", ".gitignore", "LICENSE", "CHANGELOG.md", "Makefile", "constraints.txt"),
    *("SNW_config.json", "Test4SNW.ipynb"),
}
SOURCES = sorted(file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))
TREES = {str(file.relative_to(ROOT)): ast.parse(file.read_text(encoding="utf-8")) for file in SOURCES}

RANK_VARIABLE = re.compile(
    r"\b((RANK|WORLD_SIZE|LOCAL_RANK|LOCAL_WORLD_SIZE|LOCAL_SIZE|GROUP_RANK|NODE_RANK|MASTER_ADDR|MASTER_PORT)\b"
    r"|(SLURM|SLURMD|PMI|PMIX|OMPI)_)"
)


def listed_files() -> list[str]:
    """Files that git knows or would take up with the next commit; without git all Python files that are there."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode == 0 and listed.stdout:
        return listed.stdout.rstrip("\0").split("\0")
    return [str(file.relative_to(ROOT)) for package in (*PACKAGES, "tests") for file in (ROOT / package).rglob("*.py")]


def committed_names() -> set[str]:
    """Top-level names that git knows, or, without git, those in the folder that it would not ignore."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode == 0 and listed.stdout:
        return {name.split("/")[0] for name in listed.stdout.split("\0") if name}
    ignored = [line.strip("/") for line in (ROOT / ".gitignore").read_text().splitlines() if line]
    return {path.name for path in ROOT.iterdir() if not any(path.match(pattern) for pattern in ignored)} - {".git"}


def test_the_top_level_holds_no_more_than_agreed() -> None:
    assert committed_names() <= TOP_LEVEL


def test_what_is_imported_of_ours_is_committed() -> None:
    """A room whose name git ignores works where it was written, and is missing for everybody else."""
    committed = set(listed_files())
    trees = TREES | {str(file): ast.parse(file.read_text(encoding="utf-8")) for file in (ROOT / "tests").rglob("*.py")}
    for name, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in (*PACKAGES, "tests"):
                place = node.module.replace(".", "/")
                found = committed & {f"{place}.py", f"{place}/__init__.py"}
                assert found, f"{name}, line {node.lineno}: {node.module} is not committed"


def test_slurm_holds_no_python() -> None:
    files = [path for path in (ROOT / "slurm").rglob("*") if path.is_file()]
    assert files
    for path in files:
        assert path.suffix != ".py"
        assert not path.read_text(encoding="utf-8").splitlines()[0].endswith(("python", "python3")), path


def strings(tree: ast.Module) -> set[str]:
    """String constants of a module without its docstrings and the texts below attributes."""
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in texts
    }


def test_what_is_shown_goes_through_one_module() -> None:
    """A console of its own would take ids for markup."""
    made = {
        str(file.relative_to(ROOT)) for file in SOURCES if re.search(r"(?<!\w)_?Console\(", file.read_text("utf-8"))
    }
    assert made == {"hpc/shown.py"}


def test_rank_variables_are_named_in_one_module() -> None:
    naming = {name for name, tree in TREES.items() if any(map(RANK_VARIABLE.search, strings(tree)))}
    assert naming == {"hpc/ranks/topology.py"}


@pytest.mark.parametrize("file", sorted((ROOT / "launch").glob("*.py")), ids=lambda file: file.name)
def test_launchers_are_thin(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        assert not isinstance(node, ast.ClassDef), f"{node.name}: a class belongs into snw_dist"
        if isinstance(node, ast.FunctionDef):
            assert len(node.body) <= 12, f"{node.name}: more than a launcher should do"
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            for module in modules:
                assert module.split(".")[0] not in ("torch", "numpy", "pandas", "zarr", "deepspeed", "submitit"), module


def test_the_changelog_has_an_unreleased_part_with_entries() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    match = re.search(r"^## Unreleased\n(.*?)(?=^## |\Z)", text, flags=re.MULTILINE | re.DOTALL)
    assert match, "CHANGELOG.md needs '## Unreleased'"
    assert re.search(r"^- ", match[1], flags=re.MULTILINE)


def test_every_requirement_is_pinned_to_a_version_that_fits_it() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    lines = [setup["options"]["install_requires"], *setup["options.extras_require"].values()]
    wanted = [Requirement(line) for text in lines for line in text.split("\n") if line and not line.startswith("#")]
    pins = dict(
        line.lower().replace("_", "-").split("==")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if line and not line.startswith("#")
    )
    assert len(wanted) > 20
    for requirement in wanted:
        pin = pins.get(requirement.name.lower().replace("_", "-"))
        assert pin, f"{requirement.name} is not in constraints.txt"
        assert requirement.specifier.contains(pin), f"{requirement} is pinned to {pin}"
    assert pins["torch"] == "2.13.0"
    assert pins["esm"] == "3.2.1.post1"


# What is required and imported by nothing of ours, and why.
BY_OTHERS = {
    "ninja": "DeepSpeed compiles its extension with it",
    "tensorboard": "torch.utils.tensorboard imports it",
}
# Extras whose packages are imported.
OF_USERS = ("train", "report", "umap", "inspect", "mlflow", "wandb", "slurm")
# What is imported besides what setup.cfg names, and who brings it.
BROUGHT_ALONG = {"packaging": "pytest", "triton": "PyTorch's builds for CUDA; it is imported nowhere else"}


def imported(folders: Iterable[str]) -> set[str]:
    """Distributions, by the names of setup.cfg, from which modules in these folders import anything."""
    modules: set[str] = set()
    files = [file for folder in folders for file in (ROOT / folder).rglob("*.py")]
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                modules.add(node.module.split(".")[0])
    own = {*PACKAGES, "tests", *(file.stem for file in files), *(file.parent.name for file in files)}
    foreign = modules - own - set(sys.stdlib_module_names)
    distributions = packages_distributions()
    return {normal(distributions.get(module, [module])[0]) for module in foreign}


def normal(name: str) -> str:
    return name.lower().replace("_", "-")


def required(*extras: str) -> set[str]:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    texts = [setup["options"]["install_requires"], *(setup["options.extras_require"][extra] for extra in extras)]
    lines = [line for text in texts for line in text.split("\n") if line and not line.startswith("#")]
    return {normal(Requirement(line).name) for line in lines}


def test_what_is_imported_is_required_and_the_other_way_round() -> None:
    found = imported(PACKAGES)
    assert found - {"esm"} <= required(*OF_USERS, "mpi") | {"triton"}  # esm is installed apart, see setup.cfg
    assert required(*OF_USERS) - found == set(BY_OTHERS)
    assert imported(["tests"]) - {"esm"} <= required(*OF_USERS, "mpi", "dev", "esm") | set(BROUGHT_ALONG)


# Where JSON is read by other means than hpc.disk.reading, and why it may be.
OWN_JSON = {
    **dict.fromkeys(
        ("hpc/save/saving.py", "hpc/job/request.py", "snw_dist/train/saved.py"),
        "what was written as JSON in the same line",
    ),
    **dict.fromkeys(("hpc/ranks/communicator.py", "hpc/ranks/key_store.py"), "what a rank of this job has sealed"),
    "hpc/machine/keeper.py": "what its own owner says; it has no other modules either",
    "hpc/ranks/watcher.py": "what its own rank says; it has no other modules, which would cost memory",
    "snw_dist/train/portable.py": "what `verify` has checked before",
}


def reads_json(tree: ast.Module) -> bool:
    by_name = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module == "json"]
    attributes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    used = {alias.name for node in by_name for alias in node.names}
    used |= {node.attr for node in attributes if isinstance(node.value, ast.Name) and node.value.id == "json"}
    return bool(used & {"load", "loads", "JSONDecoder"})


def test_json_is_read_in_one_module() -> None:
    """Bounded, strict, and never from a pipe: `json.load` is none of these; use hpc.disk.reading."""
    assert {name for name, tree in TREES.items() if reads_json(tree)} == {"hpc/disk/reading.py", *OWN_JSON}


def test_tests_of_a_file_stay_together() -> None:
    """pytest-xdist does nothing, silently, where it cannot mark the names of tests (pytest 9.2)."""
    name = os.environ["PYTEST_CURRENT_TEST"].removesuffix(" (call)")
    group = "@tests/unit/test_house.py" if "PYTEST_XDIST_WORKER" in os.environ else ""
    assert name == f"tests/unit/test_house.py::test_tests_of_a_file_stay_together{group}"


def test_every_promise_has_tests_that_exist() -> None:
    assert list(PROMISES) == list(range(1, 26))
    for _, prefixes in PROMISES.values():
        for prefix in prefixes:
            file, _, name = prefix.partition("::")
            assert f"def {name or 'test_'}" in (ROOT / file).read_text(encoding="utf-8"), prefix


UNPICKLES = {
    *("broadcast_object_list", "all_gather_object", "gather_object", "scatter_object_list"),
    *("send_object_list", "recv_object_list", "TCPStore", "allow_pickle", "read_pickle", "FileStore"),
}
PICKLES = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
MAY_UNPICKLE = {
    # the weights of the `esm` package are such a file: tensors alone, and the errors that this may give
    "snw_dist/embedding/weights/tensors.py": {"import pickle", "torch.load"},
}


def unpickling(tree: ast.Module) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            found |= {f"import {module}" for module in modules if module.split(".")[0] in PICKLES}
            found |= {alias.name for alias in node.names if alias.name in UNPICKLES}
        if isinstance(node, ast.Attribute) and node.attr in UNPICKLES:
            found.add(node.attr)
        if isinstance(node, ast.keyword) and node.arg in UNPICKLES:
            found.add(node.arg)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
            found.add("torch.load" if "weights_only=True" in ast.unparse(node) else "torch.load of more than tensors")
    return found


def test_nothing_is_unpickled() -> None:
    """Whoever writes a pickle, or gets into a connection that takes one, runs his code as whoever reads it."""
    assert {name: found for name, tree in TREES.items() if (found := unpickling(tree))} == MAY_UNPICKLE
