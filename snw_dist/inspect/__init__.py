"""What a network is made of, seen while it runs: a picture and a table."""
