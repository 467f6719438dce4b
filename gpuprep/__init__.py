"""gpuprep: folders of CT and MR scans in, training-ready Zarr cohorts out."""

__version__ = "0.1.0"
