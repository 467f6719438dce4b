"""Ranges and conditions as the tables of RFC 9110 have them."""

import time
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuprep.service.chunks.conditions import Verdict, decide, parse_ranges

SIZE = 100
NOW = 1_000_000_000
WRITTEN = NOW - 60
ETAG = '"a-1"'
WHOLE = Verdict(200, 0, SIZE)
EARLIER, SAME, LATER = (formatdate(WRITTEN + d, usegmt=True) for d in (-1, 0, 1))


def ask(method: str = "GET", *, size: int = SIZE, now: float = NOW, **headers: str) -> Verdict:
    asked = {name.replace("_", "-"): value for name, value in headers.items()}
    return decide(method, asked, etag=ETAG, modified=WRITTEN, size=size, now=now)


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("bytes=0-0", Verdict(206, 0, 1)),
        ("bytes=0-99", Verdict(206, 0, 100)),
        ("bytes=10-19", Verdict(206, 10, 20)),
        ("bytes=90-1000", Verdict(206, 90, 100)),
        ("bytes=99-", Verdict(206, 99, 100)),
        ("bytes=0-", Verdict(206, 0, 100)),
        ("bytes=-1", Verdict(206, 99, 100)),
        ("bytes=-1000", Verdict(206, 0, 100)),
        ("BYTES=5-6", Verdict(206, 5, 7)),
        ("bytes=007-0010", Verdict(206, 7, 11)),
        (f"bytes=0-{'9' * 5000}", Verdict(206, 0, 100)),
        ("bytes=100-", Verdict(416)),
        (f"bytes={'9' * 5000}-", Verdict(416)),
        ("bytes=-0", Verdict(416)),
        ("bytes=100-,200-300", Verdict(416)),
        # several: those that nothing satisfies are left out, those that join are one, else all of it
        ("bytes=0-4,200-300", Verdict(206, 0, 5)),
        ("bytes=0-4, 5-9", Verdict(206, 0, 10)),
        ("bytes=5-9,0-4 ,\t8-12", Verdict(206, 0, 13)),
        ("bytes=,,0-4,,", Verdict(206, 0, 5)),
        ("bytes=0-,-1", Verdict(206, 0, 100)),
        ("bytes=0-4,6-9", WHOLE),
        ("bytes=0-0,-1", WHOLE),
        ("bytes=" + ",".join(f"{n}-{n}" for n in range(101)), WHOLE),
        # malformed: as if it were not there
        ("bytes=", WHOLE),
        ("bytes=,", WHOLE),
        ("bytes=-", WHOLE),
        ("bytes=5-4", WHOLE),
        ("bytes=0-4,5-4", WHOLE),
        ("bytes=a-b", WHOLE),
        ("bytes=+1-2", WHOLE),
        ("bytes=0x1-2", WHOLE),
        ("bytes=1_0-20", WHOLE),
        ("bytes=\u0661-2", WHOLE),
        ("bytes= 0-4", Verdict(206, 0, 5)),
        ("bytes =0-4", WHOLE),
        ("bytes 0-4", WHOLE),
        ("0-4", WHOLE),
        ("voxels=0-4", WHOLE),
        ("bytes=0-4;", WHOLE),
        ("bytes=--4", WHOLE),
        ("bytes=1-2-3", WHOLE),
        ("", WHOLE),
    ],
)
def test_ranges(text, verdict):
    assert ask(range=text) == verdict


@pytest.mark.parametrize("text", ["bytes=-1", "bytes=0-", "bytes=0-0", "bytes=-0"])
def test_of_nothing_only_the_last_bytes_can_be_had(text):
    assert ask(range=text, size=0) == Verdict(200 if text == "bytes=-1" else 416)


def test_a_range_means_nothing_to_head():
    assert ask("HEAD", range="bytes=0-4") == ask("HEAD", range="bytes=500-") == WHOLE


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"if_none_match": ETAG}, 304),
        ({"if_none_match": f"W/{ETAG}"}, 304),
        ({"if_none_match": f'"b", W/"c",{ETAG}'}, 304),
        ({"if_none_match": "*"}, 304),
        ({"if_none_match": '"b"'}, 200),
        ({"if_none_match": "a-1"}, 200),
        ({"if_modified_since": SAME}, 304),
        ({"if_modified_since": LATER}, 304),
        ({"if_modified_since": EARLIER}, 200),
        ({"if_modified_since": "yesterday"}, 200),
        ({"if_modified_since": LATER, "if_none_match": '"b"'}, 200),
        ({"if_match": ETAG}, 200),
        ({"if_match": f'"b", {ETAG}'}, 200),
        ({"if_match": "*"}, 200),
        ({"if_match": f"W/{ETAG}"}, 412),
        ({"if_match": '"b"'}, 412),
        ({"if_match": "nonsense"}, 412),
        ({"if_unmodified_since": SAME}, 200),
        ({"if_unmodified_since": EARLIER}, 412),
        ({"if_unmodified_since": EARLIER, "if_match": ETAG}, 200),
        ({"if_match": '"b"', "if_none_match": ETAG}, 412),
        ({"if_match": ETAG, "if_none_match": ETAG}, 304),
        ({"if_none_match": ETAG, "range": "bytes=500-"}, 304),
        ({"if_match": '"b"', "range": "bytes=500-"}, 412),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_conditions(method, headers, status):
    assert ask(method, **headers).status == status


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        (ETAG, 206),
        (f"W/{ETAG}", 200),
        ('"b"', 200),
        (SAME, 206),
        (EARLIER, 200),
        (LATER, 200),
        ("nonsense", 200),
    ],
)
def test_if_range(condition, status):
    assert ask(range="bytes=0-4", if_range=condition).status == status


def test_a_date_is_no_strong_validator_within_its_own_second():
    assert ask(range="bytes=0-4", if_range=SAME, now=WRITTEN + 0.5).status == 200


@pytest.mark.parametrize("form", ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y"])
def test_the_older_forms_of_dates_are_understood(form):
    assert ask(if_modified_since=time.strftime(form, time.gmtime(WRITTEN))).status == 304


@given(st.lists(st.tuples(st.integers(0, 120), st.integers(0, 120)), min_size=1, max_size=6))
def test_what_is_sent_is_what_was_asked_for_without_gap(spans):
    text = "bytes=" + ",".join(f"{low}-{low + more}" for low, more in spans)
    verdict = ask(range=text)
    wanted = {n for low, more in spans for n in range(low, min(low + more + 1, SIZE))}
    if not wanted:
        assert verdict.status == 416
    elif len(wanted) == max(wanted) - min(wanted) + 1:
        assert (verdict.status, verdict.start, verdict.stop) == (206, min(wanted), max(wanted) + 1)
    else:
        assert verdict == WHOLE


@given(st.text(alphabet="bytes=0123456789-, \t", max_size=40))
def test_no_header_breaks_the_parser(text):
    verdict = ask(range=text)
    assert verdict.status in (200, 206, 416)
    assert 0 <= verdict.start <= verdict.stop <= SIZE
    assert (parse_ranges(text) is None) <= (verdict == WHOLE)
