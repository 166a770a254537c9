import pickle

import pytest

from hpc.errors import CorruptError, EnvironmentProblem, ExitCode, InputError, Preempted, SnwError


@pytest.mark.parametrize(
    ("kind", "code"), [(SnwError, 2), (InputError, 2), (CorruptError, 3), (EnvironmentProblem, 4), (Preempted, 75)]
)
def test_every_kind_of_error_has_its_exit_code(kind: type[SnwError], code: int) -> None:
    assert kind("why").exit_code == code
    assert ExitCode(code) == code


@pytest.mark.parametrize("kind", [SnwError, InputError, CorruptError, EnvironmentProblem, Preempted])
def test_errors_travel_between_ranks(kind: type[SnwError]) -> None:
    copy = pickle.loads(pickle.dumps(kind("why")))
    assert type(copy) is kind
    assert str(copy) == "why"
