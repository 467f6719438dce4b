"""The ends of jobs, told to other hosts."""
