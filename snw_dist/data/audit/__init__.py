"""What is wrong with data that are read without complaint: leaks, shifts, sides that tell the label."""
