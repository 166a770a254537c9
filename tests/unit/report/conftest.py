"""One made-up run for all tests of its report; none of them changes it."""

from __future__ import annotations

import pytest

from snw_dist.report.run.files import RunFiles
from tests.kit.report_tools import reported


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFiles:
    return reported(tmp_path_factory.mktemp("reported"))
