"""Facts about one site (partition, processors, variables) as data, so that no host name is ever in the code.

A profile is a JSON file in `slurm/profiles`, or anywhere. Every environment variable in it carries its
reason.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic.dataclasses import dataclass

from hpc.disk.home import expanded
from hpc.disk.reading import BadFileError, read_json
from hpc.disk.strict import SETTINGS, validated
from hpc.errors import InputError

_MOST_BYTES = 2**20
RESERVED_SBATCH_OPTIONS = frozenset(
    [
        "array",
        "comment",
        "error",
        "export",
        "job-name",
        "nodes",
        "ntasks",
        "ntasks-per-node",
        "no-requeue",
        "open-mode",
        "output",
        "requeue",
        "signal",
        "time",
        "wrap",
    ]
)


def one_line(text: str) -> str:
    """Give `text` back; raises `ValueError` when it has a control character.

    A newline in a value would become a line of its own, and be run, in the sbatch script.
    """
    if not text.isprintable():
        raise ValueError("control characters and newlines are not allowed")
    return text


def _not_empty(text: str) -> str:
    """An option without its value would take the next word for it."""
    if not text.strip():
        raise ValueError("the text is empty")
    return text


def _reason(text: str) -> str:
    if not text.strip():
        raise ValueError("say why this variable is set")
    return text


def _sbatch_options(options: dict[str, str | int]) -> dict[str, str | int]:
    for name in options:
        if name.replace("_", "-") in RESERVED_SBATCH_OPTIONS:
            raise ValueError(f"{name!r} is set by the launcher itself")
    return options


def _distinct(variables: list[EnvironmentVariable]) -> list[EnvironmentVariable]:
    names = [variable.name for variable in variables]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"set more than once: {', '.join(repeated)}")
    return variables


Line = Annotated[str, AfterValidator(one_line)]
Word = Annotated[Line, AfterValidator(_not_empty)]
_OptionName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*([_-][a-z0-9]+)*$", max_length=100)]


@dataclass(config=SETTINGS, frozen=True)
class EnvironmentVariable:
    """One variable set on the nodes, and why."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
    value: Line
    reason: Annotated[str, AfterValidator(one_line), AfterValidator(_reason)]


@dataclass(config=SETTINGS, frozen=True)
class SiteProfile:
    """How jobs are asked for at one site; everything has a default that suits most Slurm clusters."""

    description: Line = ""
    partition: Word | None = None
    account: Word | None = None
    qos: Word | None = None
    constraint: Word | None = None
    reservation: Word | None = None
    gpus_per_node: int = Field(default=0, ge=0, le=1_024)
    """0 asks for none."""
    cpus_per_task: int = Field(default=1, ge=1, le=65_536)
    mem_gb_per_node: int | None = Field(default=None, ge=1, le=1_000_000)
    """When absent the partition's own default counts."""
    tasks_per_node: int | None = Field(default=None, ge=1, le=1_024)
    """What a run uses when it does not say; normally one task a GPU."""
    time_min: int | None = Field(default=None, ge=1, le=1_000_000)
    """What a run uses when it does not say."""
    signal_delay_s: int = Field(default=120, ge=1, le=65_535)
    """Seconds before the time limit at which every task gets USR2."""
    mpi: Literal["none", "pmi2", "pmix"] = "none"
    setup: list[Line] = Field(default_factory=list)
    """Shell lines of the batch script before `srun`, such as `module load`; not used without Slurm."""
    environment: Annotated[list[EnvironmentVariable], AfterValidator(_distinct)] = Field(default_factory=list)
    srun_args: list[Word] = Field(default_factory=list)
    additional_parameters: Annotated[dict[_OptionName, bool | int | Word], AfterValidator(_sbatch_options)] = Field(
        default_factory=dict
    )
    """Further sbatch options, `{"exclusive": true}` or `{"gres": "tmp:10G"}`."""


def load_profile(name_or_path: str | None, folder: Path) -> SiteProfile:
    """Read a profile: a path, the name of one in `folder`, or None for the built-in defaults.

    Raises `InputError` naming the file and the line of a JSON mistake, the wrong key, or the names there are.
    """
    if name_or_path is None:
        return SiteProfile()
    path = _profile_path(name_or_path, folder)
    try:
        values = read_json(path, _MOST_BYTES)
    except FileNotFoundError:
        names = ", ".join(sorted(item.stem for item in folder.glob("*.json"))) or "none"
        raise InputError(f"{path}: no such profile. Give a path, or one of those in {folder}: {names}.") from None
    except BadFileError as error:
        raise InputError(str(error)) from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
    if not isinstance(values, dict):
        raise InputError(f"{path}: the top level must be an object.")
    return validated(SiteProfile, values, str(path))


def profile_from(name_or_path: str, base: Path) -> str:
    """A relative path as one from the folder `base`; a name stays a name."""
    return str(base / expanded(name_or_path)) if _is_path(name_or_path) else name_or_path


def _profile_path(name_or_path: str, folder: Path) -> Path:
    return expanded(name_or_path) if _is_path(name_or_path) else folder / f"{name_or_path}.json"


def _is_path(name_or_path: str) -> bool:
    return "/" in name_or_path or name_or_path.endswith(".json")
