"""Tests of the CUDA kernels, a root of its own: see pytest.ini."""
