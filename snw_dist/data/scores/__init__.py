"""From docking scores and affinities to labels between 0 and 1."""
