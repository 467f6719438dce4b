"""The engines of the kernel tests. This folder needs NumPy and pytest alone: nothing above it is imported."""

from kernels.kernel_engines import engine  # noqa: F401  (a fixture)
