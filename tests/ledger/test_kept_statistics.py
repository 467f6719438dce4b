"""Lines with the statistics of a case: they come out as they went in, or not at all."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuprep.ledger.statistics import CaseStatistics, file_stamp
from gpuprep.ops.float_histogram import count_floats
from gpuprep.ops.histogram import Histogram
from gpuprep.values.case import Case, Source

WHOLE = Histogram.of(-1000, np.array([3, 0, 0, 2**40]))
FRACTIONS = count_floats(np.float32([0.25, 1.5, np.nan]))
LINE = CaseStatistics("a name, \udcff", "made", "stamp", "files", (WHOLE, FRACTIONS)).to_line()


def test_a_line_comes_out_as_it_went_in():
    found = CaseStatistics.of_line(LINE)
    assert found.to_line() == LINE
    assert [each.to_json() for each in found.channels] == [WHOLE.to_json(), FRACTIONS.to_json()]


@given(st.integers(0, len(LINE) - 2), st.integers(1, 255))
def test_no_changed_byte_goes_unnoticed(place, change):
    damaged = bytearray(LINE)
    damaged[place] ^= change
    with pytest.raises(ValueError, match="line"):
        CaseStatistics.of_line(bytes(damaged))


@given(st.integers(0, len(LINE) - 2))
def test_no_torn_line_goes_unnoticed(length):
    with pytest.raises(ValueError, match="line"):
        CaseStatistics.of_line(LINE[:length])


def test_a_stamp_is_of_the_files_as_they_are(tmp_path):
    file = tmp_path / "a.nii"
    case = Case("a", (Source(str(file)),))
    absent = file_stamp(case)
    file.write_bytes(b"1")
    first = file_stamp(case)
    assert first == file_stamp(case) != absent
    file.write_bytes(b"12")
    assert file_stamp(case) not in (first, absent)
    assert file_stamp(Case("b", case.images)) != file_stamp(case)
