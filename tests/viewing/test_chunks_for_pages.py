"""Which chunks a page is told to read by itself: those that the pages' own decoder knows."""

from pathlib import Path

import pytest
from support.cohorts import run
from support.oriented import affine_of, save_phantom

from gpuprep.store.reader import open_cohort
from gpuprep.viewing.case_sides import after_side


@pytest.mark.parametrize(
    ("codec", "dtype", "told"),
    [
        ("balanced", "float16", "blosc-lz4"),
        ("tight", "float32", "blosc-lz4"),
        ("fast", "int16", "blosc-lz4"),  # bitshuffled
        ("dense", "float16", "other"),
        ("gpu", "float16", "other"),
    ],
)
def test_blosc_with_lz4_is_read_however_it_is_shuffled(
    tmp_path: Path, codec: str, dtype: str, told: str
) -> None:
    (tmp_path / "in").mkdir()
    save_phantom(tmp_path / "in", "one", affine_of("LPS", 0.0))
    store = {"codec": codec, "dtype": dtype, "fsync": "never"}
    run(tmp_path / "in", tmp_path / "out", {"store": store})
    side = after_side(open_cohort(tmp_path / "out")["one"])
    assert set(side.codecs.values()) == {told}
