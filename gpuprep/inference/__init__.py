"""Sliding-window inference on stored cases: patches on a grid, and predictions put together again."""

from gpuprep.inference.patches import GridPatch, GridPatches
from gpuprep.inference.stitch import stitch, stitch_into

__all__ = ["GridPatch", "GridPatches", "stitch", "stitch_into"]
