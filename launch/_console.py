"""All commands under one name: `snw-dist predict` is `python launch/predict.py`, also where there is no checkout."""

from functools import partial
from importlib import import_module
from typing import NoReturn

import typer

from launch._cli import main
from snw_dist.command import Commands

NAMES = (
    "init",
    "doctor",
    "prepare",
    "embed",
    "status",
    "train",
    "inspect",
    "evaluate",
    "report",
    "runs",
    "compare",
    "export",
    "predict",
    "screen",
)
"""In the order in which one meets them."""


def _app(name: str) -> typer.Typer:
    app: typer.Typer = import_module(f"launch.{name}").app
    return app


app = Commands("snw-dist", {name: partial(_app, name) for name in NAMES})


def run() -> NoReturn:
    """What the installed command `snw-dist` does."""
    main(app)
