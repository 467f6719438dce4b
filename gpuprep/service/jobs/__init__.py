"""Jobs: taken in, queued, run by a process each, followed, told of."""
