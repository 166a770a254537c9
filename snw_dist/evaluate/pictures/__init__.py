"""The figures of an evaluation, as files."""
