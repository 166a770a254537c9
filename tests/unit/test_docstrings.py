"""What docstrings of the sources must say: the shape of each array, and the errors that a function itself raises."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TypeGuard

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(file for package in ("hpc", "snw_dist") for file in (ROOT / package).rglob("*.py"))
MODULES = [".".join(file.relative_to(ROOT).with_suffix("").parts) for file in FILES]

ARRAYS = frozenset({"NDArray", "ndarray", "ArrayLike", "Tensor"})
AXIS = r"[\w.+*/ -]+"
# `[n]`, `[batch, length, 2]`, `[..., d_model]`, and `[]` of one number; not `rows[i]`, `[0, 1]` or `[start, stop)`.
SHAPE = re.compile(rf"(?<![\w\])])\[(?:|\d+|(?=[^\]]*(?:[a-z]|\.\.\.)){AXIS}(?:, {AXIS})*)\]")
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass
class Module:
    """What a module defines and imports, and the names by which it knows arrays."""

    tree: ast.Module
    texts: dict[str, str]
    """Docstrings, and the texts below attributes, by names such as `Side.mask`; "" where there is none."""
    imports: dict[str, str] = field(default_factory=dict)
    """The module from which a name of ours is imported."""
    arrays: Set[str] = ARRAYS
    """Types of arrays and what this module calls them."""


@dataclass(frozen=True)
class Definition:
    """A public function, method or attribute."""

    name: str
    owner: str
    """Its class and a dot, or nothing."""
    text: str
    annotations: list[ast.expr]
    body: list[ast.stmt]


@cache
def tree_of(name: str) -> ast.Module:
    return ast.parse((ROOT / name.replace(".", "/")).with_suffix(".py").read_text(encoding="utf-8"))


@cache
def read(name: str) -> Module:
    return looked_at(tree_of(name))


def looked_at(tree: ast.Module) -> Module:
    module = Module(tree, texts(tree.body), arrays=ARRAYS | aliases(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in MODULES:
            module.imports |= {alias.name: node.module for alias in node.names}
            module.arrays |= aliases_of(node.module) & {alias.name for alias in node.names}
    return module


def aliases(tree: ast.Module) -> set[str]:
    """What a module calls types of arrays, without those whose own text names the shape: they refer to it."""
    own = texts(tree.body)
    named = {name for node in tree.body if is_alias(node) and has_array(node.value, ARRAYS) for name in targets(node)}
    return {name for name in named if not SHAPE.search(own[name])}


@cache
def aliases_of(name: str) -> set[str]:
    return aliases(tree_of(name))


def is_alias(node: ast.stmt) -> TypeGuard[ast.Assign | ast.AnnAssign]:
    """Whether a statement may give a type a name."""
    if isinstance(node, ast.AnnAssign):
        return ast.unparse(node.annotation).endswith("TypeAlias")
    return isinstance(node, ast.Assign) and isinstance(node.value, ast.Subscript | ast.BinOp)


def targets(node: ast.stmt) -> list[str]:
    """Names that a statement gives a value to; of `self.name`, the name."""
    found = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [target.attr if isinstance(target, ast.Attribute) else ast.unparse(target) for target in found]


def texts(body: list[ast.stmt], owner: str = "") -> dict[str, str]:
    found = {}
    for node, below in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, Function | ast.ClassDef):
            found[owner + node.name] = ast.get_docstring(node) or ""
        if isinstance(node, ast.ClassDef):
            found |= texts(node.body, f"{node.name}.")
        if owner and isinstance(node, Function) and node.name == "__init__":
            found |= texts(node.body, owner)
        is_text = isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
        text = ast.literal_eval(below.value) if isinstance(below, ast.Expr) and is_text else ""
        found |= {owner + name: str(text) for name in targets(node)}
    return found


def has_array(annotation: ast.expr | None, arrays: Set[str]) -> bool:
    """Whether an annotation names an array, also in quotes."""
    return annotation is not None and not arrays.isdisjoint(re.findall(r"\w+", ast.unparse(annotation)))


def definitions(module: Module, body: list[ast.stmt], owner: str = "") -> Iterator[Definition]:
    """Public functions, methods and annotated attributes; `__init__` is described by its class."""
    of_class = module.texts.get(owner.rstrip("."), "")
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from definitions(module, node.body, f"{node.name}.")
        if isinstance(node, ast.AnnAssign) and owner:
            for name in targets(node):
                if not name.startswith("_"):
                    yield Definition(
                        owner + name, owner, f"{module.texts[owner + name]}\n{of_class}", [node.annotation], []
                    )
        if isinstance(node, Function):
            text = ast.get_docstring(node) or ""
            if node.name == "__init__":
                yield from (one for one in definitions(module, node.body, owner) if one.body == [])
                text = f"{text}\n{of_class}"
            elif node.name.startswith("_"):
                continue
            annotated = [one.annotation for one in ast.walk(node.args) if isinstance(one, ast.arg)]
            given = [one for one in (*annotated, node.returns) if one is not None]
            yield Definition(owner + node.name, owner, text, given, node.body)


def says_shape(one: Definition, module: Module) -> bool:
    """A shape in brackets, or a name in backquotes whose own text has one."""
    return any(SHAPE.search(text) for text in (one.text, *referred(one, module)))


def referred(one: Definition, module: Module) -> Iterator[str]:
    """Own texts of what the docstring names in backquotes, here, in the class, or where it is imported from."""
    for name in re.findall(r"`([A-Za-z_][\w.]*)`", one.text):
        for where in MODULES:
            if name.startswith(f"{where}."):
                yield read(where).texts.get(name.removeprefix(f"{where}."), "")
        origin = module.imports.get(name.split(".")[0])
        yield read(origin).texts.get(name, "") if origin else ""
        yield module.texts.get(one.owner + name, "")
        yield module.texts.get(name, "")


def raised(body: list[ast.stmt]) -> set[str]:
    """Errors that these statements raise by name; not in inner functions, nor where an `except` decides.

    `assert` and `AssertionError` are for our own mistakes: nobody is to rely on them.
    """
    found = set()
    nodes: list[ast.AST] = list(body)
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Raise) and node.exc:
            named = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            found |= {ast.unparse(named).rpartition(".")[2]} if isinstance(named, ast.Name | ast.Attribute) else set()
        if isinstance(node, ast.Try) and node.handlers:
            nodes += [*node.handlers, *node.orelse, *node.finalbody]
        elif not isinstance(node, Function | ast.Lambda | ast.ClassDef):
            nodes += ast.iter_child_nodes(node)
    return {name for name in found if name[0].isupper()} - {"AssertionError"}


def without_shape(module: Module) -> list[str]:
    return [
        one.name
        for one in definitions(module, module.tree.body)
        if any(has_array(annotation, module.arrays) for annotation in one.annotations) and not says_shape(one, module)
    ]


def without_errors(module: Module) -> list[str]:
    return [
        f"{one.name}: {name}"
        for one in definitions(module, module.tree.body)
        for name in sorted(raised(one.body))
        if not re.search(rf"`{name}`|\b{name}\b", one.text)
    ]


@pytest.mark.parametrize("lacking", [without_shape, without_errors])
def test_a_docstring_names_the_shape_of_arrays_and_what_is_raised(lacking: Callable[[Module], list[str]]) -> None:
    assert {name: found for name in MODULES if (found := lacking(read(name)))} == {}


def test_what_says_too_little_is_found() -> None:
    source = '''
Plain = NDArray[np.int64]
Named = NDArray[np.int64]
"""[n] numbers."""

class Side:
    """Of [0, 1]."""
    mask: torch.Tensor
    states: torch.Tensor
    """[n, width]"""

def silent(x: Plain) -> None:
    """Of `rows[i]`, as `Side.mask`."""
    raise ValueError("x")

def plain(x: np.ndarray, y: Named) -> None:
    """As `Side.states`; raises `ValueError`."""
    raise ValueError("x")

def named(x: Named) -> None:
    """Nothing."""
'''
    module = looked_at(ast.parse(source))
    assert without_shape(module) == ["Side.mask", "silent"]
    assert without_errors(module) == ["silent: ValueError"]
