"""What the tests of the pages' modules compare with is what numcodecs, nibabel and numpy say today."""

import base64
import hashlib
import json

import numcodecs.blosc
import pytest
from support.page_goldens import FILE, goldens

KEPT = json.loads(FILE.read_text("utf-8"))


@pytest.mark.parametrize("row", KEPT["blosc"], ids=lambda row: row["name"])
def test_numcodecs_decodes_each_frame_to_the_bytes_of_its_sum(row) -> None:
    raw = numcodecs.blosc.Blosc().decode(base64.b64decode(row["frame"]))
    assert hashlib.sha256(raw).hexdigest() == row["sha256"]


def test_nothing_is_missing() -> None:
    made = goldens()
    assert [row["name"] for row in made["blosc"]] == [row["name"] for row in KEPT["blosc"]]
    assert [row["sha256"] for row in made["blosc"]] == [row["sha256"] for row in KEPT["blosc"]]
    assert [row["letters"] for row in made["affines"]] == [
        row["letters"] for row in KEPT["affines"]
    ]
    assert len(made["affines"]) == 48 + 6
