"""The array engine on a device: the functions of ``ops`` with the same contracts, launching CUDA kernels.

Arrays stay where they are: what goes in and comes out belongs to the engine's array library (see
``kernels.loader``). Work is queued on the current stream; only numbers and histograms come to the host.
"""
