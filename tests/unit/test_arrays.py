"""The types of arrays have one name each, and one home."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / "snw_dist" / "arrays.py"


def named_types(file: Path) -> dict[str, str]:
    """From the type of an array, such as `np.int64`, to the name that a module gives it."""
    found = {}
    for node in ast.parse(file.read_text("utf-8")).body:
        value, target = getattr(node, "value", None), getattr(node, "target", None)
        if isinstance(node, ast.Assign):
            target = node.targets[0]
        if isinstance(value, ast.Subscript) and ast.unparse(value.value).endswith("NDArray"):
            found[ast.unparse(value.slice)] = ast.unparse(target)
    return found


SHARED = named_types(HOME)


def test_the_shared_names() -> None:
    assert SHARED == {"np.bool_": "BoolArray", "np.float64": "FloatArray", "np.int64": "IntArray"}


def test_no_other_module_names_a_shared_type() -> None:
    for file in sorted((ROOT / "snw_dist").rglob("*.py")):
        if file != HOME:
            assert not set(named_types(file)) & set(SHARED), file
