import pickle

import pytest

from hpc.errors import CorruptError, EnvironmentProblem, ExitCode, InputError, Preempted, SnwError, explaining


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


@pytest.mark.parametrize(
    ("codes", "expected"),
    [([], 0), ([0, 0], 0), ([0, 1], 1), ([1, 3, 75], 3), ([75, 0], 75), ([75, 1], 1), ([-9, 0], 1), ([4, 2], 2)],
)
def test_the_exit_code_that_explains_most(codes: list[int], expected: int) -> None:
    """A job of an array that failed beside one that was done gave 0."""
    assert explaining(codes) == expected
