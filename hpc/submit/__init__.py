"""From a command to a running job: Slurm or this machine, and what a command can see of the job."""
