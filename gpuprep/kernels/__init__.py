"""Where the CUDA C++ sources (``*.cu``) go. None are here yet; ``backend`` says so."""
