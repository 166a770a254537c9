"""What the ranks of a job are to each other: who is who, how they meet, talk, stop and end together."""
