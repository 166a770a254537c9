"""The commands of snw-dist, each run as `python launch/NAME.py`."""

from launch._python import refuse_other_pythons

refuse_other_pythons()  # before what a command imports: a forgotten environment is one line and no traceback

from hpc.machine.processors import keep_to_usable_processors  # noqa: E402

keep_to_usable_processors()  # likewise: OpenMP reads this once, when it is loaded
