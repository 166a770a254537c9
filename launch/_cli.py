"""What all commands share: option types, and one place where errors become exit codes."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from hpc.disk.storage import storage_problem
from hpc.disk.trusted import close_to_others
from hpc.errors import EnvironmentProblem, SnwError
from hpc.shown import never_fail_to_print, printable
from hpc.thread_limit import is_thread_limit, thread_limit_text
from hpc.told import show_told
from snw_dist.command import App, SetOption, read_settings
from snw_dist.extras import missing_extra

ConfigOption = Annotated[Path, typer.Option("--config", metavar="FILE", help="The configuration file.")]
RunOption = Annotated[str | None, typer.Option("--run", metavar="NAME", help="Overrides run.name.")]
AllMetricsOption = Annotated[
    bool, typer.Option("--all-metrics", help="Print every metric of every control, not AUROC, AUPRC and the best one.")
]
DEFAULT_CONFIG = Path("SNW_config.json")
__all__ = [
    "DEFAULT_CONFIG",
    "AllMetricsOption",
    "ConfigOption",
    "RunOption",
    "SetOption",
    "main",
    "new_app",
    "read_settings",
    "started_as",
]


def new_app() -> typer.Typer:
    """A Typer app whose messages are plain text, fit for job logs."""
    return App(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


def main(app: Callable[[], object]) -> NoReturn:
    """Run the command and exit: 0 done, 2 usage, 130 interrupted, else the code of the `SnwError`.

    An `SnwError` is printed to stderr as `error: ...`, its lines as they are, and so is what the system refuses (a full
    disk, a folder that may not be written) and a package that belongs to an extra; any other exception is a bug and
    keeps its traceback.
    """
    never_fail_to_print()
    show_told()
    close_to_others()
    try:
        app()
    except SnwError as error:
        _fail(error)
    except OSError as error:
        problem = storage_problem(error, Path.cwd())
        if problem is None:
            raise
        _fail(problem)
    except ModuleNotFoundError as error:
        lacking = missing_extra(error)
        if lacking is None:
            raise
        _fail(lacking)
    except RuntimeError as error:
        if not is_thread_limit(str(error)):
            raise
        _fail(EnvironmentProblem(thread_limit_text()))
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0)


def started_as(name: str) -> list[str]:
    """The words that start another command in the way in which this one was: by its file, or through `snw-dist`."""
    own = Path(sys.argv[0])
    return ["python", str(own.with_name(f"{name}.py"))] if own.suffix == ".py" else [str(own.name), name]


def _fail(error: SnwError) -> NoReturn:
    with contextlib.suppress(OSError):  # what was to be shown may be why it fails
        sys.stdout.flush()
    print(f"error: {printable(str(error))}", file=sys.stderr)
    sys.exit(int(error.exit_code))
