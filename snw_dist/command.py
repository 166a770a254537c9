"""What all commands have in common on their command line: `-h`, `--set`, and errors that name what was typed."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from hpc.disk.reading import BadFileError, parse_json
from hpc.disk.strict import dotted_keys
from hpc.errors import InputError
from snw_dist.config import SnwConfig, config_to_dict
from snw_dist.config_file import load_config

SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Overrides any key of the configuration: --set train.epochs=5.",
        autocompletion=lambda incomplete: [f"{k}=" for k in dotted_keys(SnwConfig) if k.startswith(incomplete)],
    ),
]
_print_config: ContextVar[bool] = ContextVar("_print_config", default=False)
_typed: ContextVar[tuple[str, ...]] = ContextVar("_typed", default=())
"""The options that stand on the command line and are settings."""


class App(typer.Typer):
    """A Typer app of such commands."""

    def command(self, *arguments: Any, **given: Any) -> Any:
        """Register a function as a `Command`."""
        return super().command(*arguments, **{"cls": Command} | given)


class Command(TyperCommand):
    """A command with `-h`; an unknown option that is a key of the configuration is told as such.

    One that reads the configuration (it has `--set` for it) has `--print-config`, too.
    """

    def __init__(self, *arguments: Any, **given: Any) -> None:
        super().__init__(*arguments, **given)
        if any(param.name == "set_values" for param in self.params):
            self.params.append(_print_option())
        self.context_settings.setdefault("help_option_names", ["-h", "--help"])

    def get_short_help_str(self, limit: int = 0) -> str:
        """Its first sentence, whole: the list of commands has room for several lines, and is all that many read."""
        return super().get_short_help_str(limit=1_000)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Raises the usage error of a mistake."""
        try:
            rest: list[str] = super().parse_args(ctx, args)
        except Exception as error:
            if hasattr(error, "possibilities"):
                name: str = getattr(error, "option_name", "")
                own = difflib.get_close_matches(
                    name, [option for param in self.params for option in param.opts], 3, 0.7
                )
                error.possibilities = [*own, *(f"--set {key}=VALUE" for key in keys_named(name))]
            raise
        source = {param: getattr(ctx.get_parameter_source(param.name), "name", "") for param in self.params}
        _typed.set(tuple(p.opts[0] for p in self.params if source[p] == "COMMANDLINE" and _is_setting(p)))
        return rest


def _keep(value: bool) -> None:
    """For `read_settings`, which all of these commands call."""
    _print_config.set(value)


_PrintOption = Annotated[
    bool,
    typer.Option(
        "--print-config",
        help="Print the whole configuration as this command would use it, with every default, and end.",
        callback=_keep,
        expose_value=False,
    ),
]


def _print_option() -> Any:
    """The option as a command has it; Typer makes it from a function."""
    made = typer.Typer(add_completion=False)

    @made.command()
    def has_it(print_config: _PrintOption = False) -> None: ...

    return next(param for param in typer.main.get_command(made).params if "--print-config" in param.opts)


def _is_setting(param: Any) -> bool:
    """Its help says which key it overrides. Another option is not to blame for a wrong value."""
    return str(getattr(param, "help", "")).startswith("Overrides ")


_with_completion = typer.Typer()
"""Has `--install-completion` and `--show-completion`, which Typer makes for an app of its own only."""


@_with_completion.command()
def _nothing() -> None: ...


class Commands(TyperGroup):
    """Several commands under one name, of which only those are loaded that are asked for.

    A shell completes their names and options, and the keys of `--set`, after `--install-completion`.
    """

    def __init__(self, name: str, apps: Mapping[str, Callable[[], typer.Typer]]) -> None:
        """`apps`: name of each command -> what loads its app, in the order in which a help text shows them."""
        settings = {"help_option_names": ["-h", "--help"]}
        completion = typer.main.get_command(_with_completion).params
        super().__init__(
            name=name, params=completion, no_args_is_help=True, rich_markup_mode=None, context_settings=settings
        )
        self._apps = apps
        names: dict[str, Any] = dict.fromkeys(apps)
        self.commands = names  # from which Typer says which one a wrong one may mean

    def list_commands(self, ctx: Any) -> list[str]:
        """Their names."""
        return list(self._apps)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """One of them; None where there is none of this name."""
        return typer.main.get_command(self._apps[cmd_name]()) if cmd_name in self._apps else None


def read_settings(
    config: Path,
    overrides: Mapping[str, Any],
    set_values: Sequence[str] | None,
    completed: Callable[[SnwConfig], SnwConfig] = lambda found: found,
) -> SnwConfig:
    """The configuration with the options of the command line; a mistake in these is not blamed on the file.

    `completed` adds what a command takes from elsewhere, such as `as_prepared`. With `--print-config` the result is
    printed and `typer.Exit` raised, which ends the command.
    """
    given_by = ", ".join(_typed.get()) or "the command line"
    found = completed(load_config(config, overrides, values_of(set_values), given_by))
    if _print_config.get():
        typer.echo(json.dumps(config_to_dict(found), indent=2, ensure_ascii=False))
        raise typer.Exit
    return found


def data_values(config: SnwConfig, set_values: Sequence[str] | None) -> dict[str, Any]:
    """The settings of the data that `--set` has given, as `config` has them: paths are absolute."""
    plain, keys = config_to_dict(config), [key for key in values_of(set_values) if key.startswith("data.")]
    return {key: reduce(getitem, key.split("."), plain) for key in keys}


def values_of(set_values: Sequence[str] | None) -> dict[str, Any]:
    """Key and value of each `--set`: JSON, or else text. Raises `InputError` for what is neither."""
    values = {}
    for text in set_values or []:
        key, sign, value = text.partition("=")
        if not (sign and key):
            raise InputError(f"--set {text}: give a key of the configuration and its value, as in train.epochs=5")
        if key in values:
            raise InputError(f"--set {key}: given twice")
        try:
            values[key] = parse_json(value, f"--set {key}")
        except BadFileError as error:
            if value.startswith(("{", "[", '"')):
                raise InputError(f"{error}. Quote the value for the shell: --set '{key}=...'.") from None
            values[key] = value
    return values


def keys_named(option: str) -> list[str]:
    """The keys of the configuration that an option may mean: `--epochs` is `train.epochs`."""
    name, keys = option.lstrip("-").replace("-", "_").replace(".", "_"), dotted_keys(SnwConfig)
    same = [key for key in keys if name in (key.rpartition(".")[2], key.replace(".", "_"))]
    near = difflib.get_close_matches(name, {key.rpartition(".")[2] for key in keys}, n=2, cutoff=0.8)
    return same or [key for key in keys if key.rpartition(".")[2] in near]
