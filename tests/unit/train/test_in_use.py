"""A run that another job owns is refused on the machine that submits."""

from pathlib import Path

import pytest

from hpc.errors import EnvironmentProblem
from hpc.save.fence import Fence
from snw_dist.data.ensure import ensure_prepared
from snw_dist.embedding.estimate import check_embedding
from snw_dist.embedding.store.part_names import RECORDS, owner_name
from snw_dist.train.precheck import check_training
from tests.kit.tiny import configured, write_project


def test_training_of_a_run_in_use_is_refused_before_submission(tmp_path: Path) -> None:
    write_project(tmp_path)
    config = configured(tmp_path)
    check_training(config)
    Fence(config.run_folder, "3-0")
    with pytest.raises(EnvironmentProblem, match=r"in use by job 3, of .*scancel 3\)"):
        check_training(config)


def test_embedding_of_a_part_in_use_by_any_task_is_refused_before_submission(tmp_path: Path) -> None:
    write_project(tmp_path, store=False, encoder={"name": "esmc-tiny-random"}, cluster={"array": 3})
    config = configured(tmp_path)
    prepared = ensure_prepared(config)
    check_embedding(config, prepared, append=False)
    Fence(config.store_path / RECORDS, "4_2-0", owner_name(2))
    with pytest.raises(EnvironmentProblem, match=r"in use by job 4_2, of"):
        check_embedding(config, prepared, append=False)
