"""The machine that a process runs on: processors, memory, child processes, compiled extensions."""
