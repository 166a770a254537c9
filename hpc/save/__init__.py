"""Checkpoints that are whole or not there, and the claim on a folder that only one job can hold."""
