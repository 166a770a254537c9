"""The commands of snw-dist, each run as `python launch/NAME.py`."""

from hpc.processors import keep_to_usable_processors

keep_to_usable_processors()  # before what a command imports: OpenMP reads this once, when it is loaded
