"""The version of this program, where whoever needs it loads nothing else."""

__version__ = "0.1.0"
