"""Zips from strangers: nothing lands outside or outgrows its limits, whatever a zip says of itself."""

import contextlib
import stat
import struct
import warnings
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuprep.service.volumes.unpack import unpack
from gpuprep.values.errors import InputError

MOST = {"most_bytes": 10_000, "most_files": 20}


def zipped(folder: Path, *files: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    path = folder / "in.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return path


def refused(archive: Path, folder: Path, code: str, **limits: int) -> str:
    target = folder / "deep/down/target"
    target.parent.mkdir(parents=True)
    before = {path for path in folder.rglob("*") if target not in path.parents}
    with pytest.raises(InputError) as caught:
        unpack(archive, target, **{**MOST, **limits})
    after = {path for path in folder.rglob("*") if target not in path.parents}
    assert after - before <= {target}
    assert sum(path.stat().st_size for path in target.rglob("*") if path.is_file()) <= 10_000
    assert caught.value.code == code
    return caught.value.message


def test_what_is_plain_comes_out_as_it_went_in(tmp_path) -> None:
    files = {"a.dcm": b"1", "deep/er/b.dcm": b"2" * 5000, "Ordner ä/c": b""}
    archive = zipped(tmp_path, *files.items(), ("deep/", b""))
    assert unpack(archive, tmp_path / "out", **MOST) == 3
    found = {
        str(path.relative_to(tmp_path / "out")): path.read_bytes()
        for path in (tmp_path / "out").rglob("*")
        if path.is_file()
    }
    assert found == files
    modes = [
        (tmp_path / "out").stat().st_mode,
        *((tmp_path / "out" / name).stat().st_mode for name in files),
    ]
    assert not any(mode & (stat.S_IRWXG | stat.S_IRWXO) for mode in modes)


@pytest.mark.parametrize(
    "name",
    [
        "../a",
        "a/../../a",
        "/etc/a",
        "a//b",
        "./a",
        "a\\..\\b",
        "c:/a",
        "a\0b",
        "x" * 300,
        "d/" * 17 + "a",
    ],
)
def test_names_that_lead_elsewhere_are_refused(tmp_path, name) -> None:
    entry = zipfile.ZipInfo("plain")
    entry.filename = entry.orig_filename = name
    refused(zipped(tmp_path, (entry, b"x")), tmp_path, "E_UNSAFE_PATH")


def test_links_and_devices_are_refused(tmp_path) -> None:
    for number, kind in enumerate((stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO)):
        entry = zipfile.ZipInfo("link")
        entry.external_attr = (kind | 0o777) << 16
        folder = tmp_path / str(number)
        folder.mkdir()
        refused(zipped(folder, (entry, b"/etc/passwd")), folder, "E_UNREADABLE")


def test_a_bomb_ends_at_the_limit_whatever_size_it_tells(tmp_path) -> None:
    archive = zipped(tmp_path, ("zeros", bytes(10_001)))
    raw = bytearray(archive.read_bytes())
    for signature, place in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        struct.pack_into("<I", raw, raw.find(signature) + place, 10)  # its own word for its size
    told = tmp_path / "lying"
    told.mkdir()
    lying = told / "in.zip"
    lying.write_bytes(raw)
    honest = tmp_path / "honest"
    honest.mkdir()
    assert "10.0 kB" in refused(archive, honest, "E_LIMIT")
    refused(lying, told, "E_UNREADABLE")  # its checksum is not that of ten bytes


def test_many_files_together_count(tmp_path) -> None:
    archive = zipped(tmp_path, *((f"{number}", bytes(1000)) for number in range(11)))
    refused(archive, tmp_path, "E_LIMIT")


def test_too_many_files_are_refused_before_any_is_written(tmp_path) -> None:
    archive = zipped(tmp_path, *((f"{number}", b"") for number in range(21)))
    assert "21 files" in refused(archive, tmp_path, "E_LIMIT")


def test_a_count_that_lies_is_found_out(tmp_path) -> None:
    archive = zipped(tmp_path, *((f"{number}", b"") for number in range(21)))
    raw = bytearray(archive.read_bytes())
    struct.pack_into("<HH", raw, raw.rfind(b"PK\5\6") + 8, 1, 1)
    archive.write_bytes(raw)
    refused(archive, tmp_path, "E_LIMIT")


def test_two_files_of_one_name_and_a_file_that_is_a_folder_are_refused(tmp_path) -> None:
    for number, names in enumerate((("a", "a"), ("a", "a/b"), ("a/b", "a"))):
        folder = tmp_path / str(number)
        folder.mkdir()
        with warnings.catch_warnings(action="ignore"):
            archive = zipped(folder, *((name, b"x") for name in names))
        refused(archive, folder, "E_UNREADABLE")


def test_the_64_bit_kind_and_no_zip_at_all_are_refused(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 1)
    wide, none = tmp_path / "wide", tmp_path / "none"
    wide.mkdir()
    none.mkdir()
    archive = zipped(wide, ("a", b""), ("b", b""))
    monkeypatch.undo()
    assert "64-bit" in refused(archive, wide, "E_UNREADABLE")
    (none / "in.zip").write_bytes(b"PK\3\4" + bytes(100))
    refused(none / "in.zip", none, "E_UNREADABLE")


@given(st.data())
def test_damage_anywhere_is_an_input_error_or_nothing(tmp_path_factory, data) -> None:
    folder = tmp_path_factory.mktemp("zip")
    raw = bytearray(zipped(folder, ("a.dcm", b"voxels" * 50), ("b/c", b"x")).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    (folder / "in.zip").write_bytes(raw[: data.draw(st.integers(0, len(raw)))])
    with contextlib.suppress(InputError):
        unpack(folder / "in.zip", folder / "out", **MOST)
    inside = {path for path in folder.rglob("*") if path.is_file()}
    assert inside <= {folder / "in.zip", *(folder / "out").rglob("*")}
