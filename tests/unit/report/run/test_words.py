"""How a report says figures and names."""

from __future__ import annotations

from snw_dist.report.run.words import listed


def test_names_in_a_row() -> None:
    assert [listed(names) for names in (["a"], ["a", "b"], ["a", "b", "c"])] == ["a", "a and b", "a, b and c"]
