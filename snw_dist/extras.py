"""Packages that scoring does without, and the extra of this one that brings them: `pip install "snw-dist[train]"`."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from hpc.errors import EnvironmentProblem

EXTRAS = {
    "train": (
        *("crc32c", "deepspeed", "matplotlib", "ninja", "scipy", "sklearn", "tensorboard", "transformers", "zarr"),
    ),
    "report": ("jinja2", "markupsafe", "plotly"),
    "umap": ("umap",),
    "inspect": ("torchinfo",),
    "mlflow": ("mlflow",),
    "wandb": ("wandb",),
    "slurm": ("submitit",),
    "mpi": ("mpi4py",),
}
"""Extra of `setup.cfg` -> the modules that come with it."""


def require(*modules: str) -> None:
    """Raises `EnvironmentProblem` where one of these modules is not installed: before work that would need it."""
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if missing:
        raise EnvironmentProblem(_text(missing))


def missing_extra(error: ModuleNotFoundError) -> EnvironmentProblem | None:
    """What to say of a module that could not be imported; None for one that no extra brings."""
    module = (error.name or "").partition(".")[0]
    return EnvironmentProblem(_text([module])) if _extras([module]) else None


def _text(modules: list[str]) -> str:
    """A checkout is installed by its folder, anything else by its name."""
    root, extras = Path(__file__).resolve().parents[1], ",".join(_extras(modules))
    here = (root / "setup.cfg").is_file()
    fix = f'in {root}: pip install ".[{extras}]"' if here else f'pip install "snw-dist[{extras}]"'
    return f"not installed: {', '.join(modules)}. Install what this command needs, {fix}"


def _extras(modules: list[str]) -> list[str]:
    return [extra for extra, brought in EXTRAS.items() if set(modules) & set(brought)]
