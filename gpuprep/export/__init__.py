"""From stored arrays, and predictions on their grid, to files that other software opens."""

from gpuprep.export.case import export_case, find_case
from gpuprep.export.convert import convert_cohort
from gpuprep.export.files import write_volume
from gpuprep.export.native import to_native
from gpuprep.export.prediction import export_prediction, prediction_to_native
from gpuprep.host.atomic import whole_file

__all__ = [
    "convert_cohort",
    "export_case",
    "export_prediction",
    "find_case",
    "prediction_to_native",
    "to_native",
    "whole_file",
    "write_volume",
]
