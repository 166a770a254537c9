"""The benchmark of one CUDA device, in parts."""
