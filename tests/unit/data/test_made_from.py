"""What prepared data are made from, and what they are not."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from snw_dist.data.made_from import made_from
from tests.kit.tiny import configured, write_project


def test_who_may_use_the_data_does_not_make_them_other_data(tmp_path: Path) -> None:
    write_project(tmp_path, store=False)
    data = configured(tmp_path).data
    before = made_from(data, 1)
    assert made_from(dataclasses.replace(data, license="CC BY 4.0", folder="/elsewhere"), 1) == before
    assert made_from(dataclasses.replace(data, min_length=2), 1) != before
