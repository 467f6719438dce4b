"""The seal of a record is proved on its bytes: the same are refused as by writing the record anew."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import google_crc32c
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuprep.store.files import DOCUMENT_LIMIT
from gpuprep.store.layout import RECORD_FILE
from gpuprep.store.places import to_place
from gpuprep.store.record import read_record, write_record
from gpuprep.values.errors import CorruptStoreError

_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FULL: dict[str, Any] = {
    "case": "ä \udc80",
    "files": {"0/c/0": {"size": 3, "crc32c": 7}, 'a"record_crc32c": 1': {}},
    "record_crc32c of another": ['\n "record_crc32c": 12,\n'],
    "schema": 1,
    "written": {"record_crc32c": 5},
}


def is_as_written(text: bytes) -> bool:
    """The check by writing the record anew."""

    def to_text(rows: object) -> bytes:
        told = json.dumps(rows, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
        return told.encode("utf-8", "backslashreplace")

    try:
        rows = json.loads(text)
        del rows["record_crc32c"]
        sealed = {**rows, "record_crc32c": google_crc32c.value(to_text(rows))}
        return isinstance(rows["files"], dict) and to_text(sealed) == text
    except (KeyError, TypeError, ValueError, RecursionError):
        return False


def is_read(folder: Path) -> bool:
    try:
        read_record(folder)
    except CorruptStoreError:
        return False
    return True


@given(more=st.dictionaries(st.text(), _VALUES, max_size=4))
def test_any_record_comes_back(
    tmp_path_factory: pytest.TempPathFactory, more: dict[str, Any]
) -> None:
    folder = tmp_path_factory.mktemp("case")
    record = {**more, "files": {}}
    record.pop("record_crc32c", None)
    write_record(folder, record, durable=False)
    assert is_as_written((folder / RECORD_FILE).read_bytes())
    assert read_record(folder) == json.loads(json.dumps(record))


@pytest.mark.parametrize("last", [False, True], ids=["amid", "last"])
def test_what_is_changed_is_refused_as_before(tmp_path: Path, last: bool) -> None:
    record = {name: value for name, value in FULL.items() if not last or name < "record_crc32c"}
    write_record(tmp_path, record, durable=False)
    file = tmp_path / RECORD_FILE
    text, chance, read = file.read_bytes(), random.Random(0), 0
    for _ in range(3000):
        bad = bytearray(text)
        for _ in range(chance.choice([1, 1, 1, 2])):
            place = chance.randrange(len(bad))
            match chance.randrange(3):
                case 0:
                    bad[place] ^= 1 << chance.randrange(8)
                case 1:
                    bad.insert(place, chance.choice(b" \n0,"))
                case _:
                    del bad[place]
        file.write_bytes(bad)
        assert is_read(tmp_path) == is_as_written(bytes(bad)), bytes(bad)
        read += bytes(bad) != text and is_read(tmp_path)
    assert read == 0


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"record_crc32c": ', b'"record_crc32c":  '),
        (b'\n "record_crc32c": ', b'\n "record_crc32c": 1,\n "record_crc32c": '),
        (b'\n "record_crc32c": ', b' "record_crc32c": '),
        (b'"record_crc32c": ', b'"record_crc32c": 0'),
        (b'"record_crc32c": ', b'"record_crc32c": +'),
    ],
)
def test_a_seal_has_one_form(tmp_path: Path, old: bytes, new: bytes) -> None:
    write_record(tmp_path, {"files": {}, "schema": 1}, durable=False)
    file = tmp_path / RECORD_FILE
    file.write_bytes(file.read_bytes().replace(old, new))
    assert not is_read(tmp_path)


def test_a_document_takes_as_much_memory_as_it_has_bytes(tmp_path: Path) -> None:
    write_record(tmp_path, {"files": {}}, durable=False)
    assert len(to_place(tmp_path).document(RECORD_FILE)) < 100
    with (tmp_path / "large").open("wb") as stream:
        stream.truncate(DOCUMENT_LIMIT + 1)
    with pytest.raises(CorruptStoreError, match="larger"):
        to_place(tmp_path).document("large")
