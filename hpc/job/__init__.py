"""What a job is asked to do, and the process that does it as one of its ranks."""
