"""Volumes as pictures: three planes, their letters, label maps in colour."""

from gpuprep.drawing.planes import cut_planes, draw_planes, save_picture

__all__ = ["cut_planes", "draw_planes", "save_picture"]
