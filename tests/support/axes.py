"""The matrix of an axis, as tests compare it with other tools."""

import numpy as np

from gpuprep.ops.axis import AxisWeights


def dense(axis: AxisWeights) -> np.ndarray:
    """The whole matrix, float64 ``(m, n)``."""
    matrix = np.zeros((axis.m, axis.n))
    columns = axis.start[:, None] + np.arange(axis.weights.shape[1])
    np.put_along_axis(matrix, columns.astype(np.int64), axis.weights, axis=1)
    return matrix
