"""Cluster and runtime machinery that would serve another project unchanged.

Topology, process groups, work sharing, preemption, checkpoint mechanics, executor, logs and progress live here.
Nothing here knows what is computed: no biology, no array format, no network.
"""
