"""The commands of snw-dist, each run as `python launch/NAME.py`."""
