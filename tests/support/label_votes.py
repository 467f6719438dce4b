"""The linear vote of label maps by whole numbers, so that exact ties are known."""

import numpy as np


class Votes:
    """The linear vote at every output voxel, counted in whole numbers.

    With edges aligned, input coordinates are whole multiples of 1 / 2m, so weights are whole numbers out
    of 2m per axis.
    """

    def __init__(self, labels: np.ndarray, shape: tuple[int, ...], axis: int | None) -> None:
        sizes = list(zip(labels.shape, shape, strict=True))
        tables = [
            np.eye(n, dtype=np.int64)[nearest(n, m)] if k == axis else linear_table(n, m)
            for k, (n, m) in enumerate(sizes)
        ]
        self.values = np.unique(labels)
        counts = [
            np.einsum(
                "zyx,az,by,cx->abc", (labels == value).astype(np.int64), *tables, optimize=True
            )
            for value in self.values
        ]
        self.tied = np.stack(counts) == np.max(counts, 0)
        self.tie = self.tied.sum(0) > 1
        self.nearest = labels[np.ix_(*[nearest(n, m) for n, m in sizes])]

    def among_tied(self, label: np.ndarray) -> np.ndarray:
        """Whether each label is a winner, or one of several."""
        return (self.tied & (self.values[:, None, None, None] == label)).any(0)

    def winner(self) -> np.ndarray:
        """The winner; in a tie the nearest label if it is among the tied, else the lowest."""
        lowest = self.values[self.tied.argmax(0)]
        return np.where(self.among_tied(self.nearest), self.nearest, lowest)


def linear_table(n: int, m: int) -> np.ndarray:
    """Weights times 2m of linear interpolation, int64 ``(m, n)``."""
    below, rest = np.divmod((2 * np.arange(m) + 1) * n - m, 2 * m)
    table = np.zeros((m, n), np.int64)
    for index, weight in ((below, 2 * m - rest), (below + 1, rest)):
        np.add.at(table, (np.arange(m), np.clip(index, 0, n - 1)), weight)
    return table


def nearest(n: int, m: int) -> np.ndarray:
    """The nearest input voxel, the upper one of two: ``floor((k + ½) n / m)``."""
    return (2 * np.arange(m) + 1) * n // (2 * m)
