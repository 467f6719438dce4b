"""CUDA C++ kernels (``*.cu``), each with its contract in a comment, and the loader that launches them."""
