"""One CUDA device as a worker process uses it: memory, streams, and copies in both directions."""
