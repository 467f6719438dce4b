"""From stored arrays, and predictions on their grid, to files that other software opens."""

from gpuprep.export.case import Exported, export_case, find_case, find_label
from gpuprep.export.convert import Converted, convert_cohort
from gpuprep.export.files import SUFFIXES, suffix_of, write_volume, write_voxels
from gpuprep.export.native import NativeGrid, to_native
from gpuprep.export.prediction import Placed, export_prediction, prediction_to_native
from gpuprep.host.atomic import whole_file

__all__ = [
    "SUFFIXES",
    "Converted",
    "Exported",
    "NativeGrid",
    "Placed",
    "convert_cohort",
    "export_case",
    "export_prediction",
    "find_case",
    "find_label",
    "prediction_to_native",
    "suffix_of",
    "to_native",
    "whole_file",
    "write_volume",
    "write_voxels",
]
