"""Series with several volumes that a manifest names, and those that are looked at again."""

from pathlib import Path
from unittest import mock

import pytest
from support.studies import write_study

from gpuprep.cohort.discover import Found, discover
from gpuprep.io.dicom import known
from gpuprep.io.reader import read
from gpuprep.io.rules import ReadRules
from gpuprep.values.errors import InputError, UsageError


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return write_study(tmp_path / "study")


def test_a_row_of_a_manifest_is_taken_apart_as_a_tree_is(study: Path) -> None:
    (study / "m.csv").write_text("case_id,image,split\na,echo,test\nb,plain,\n")
    every = {
        several: discover(study / "m.csv", several_volumes=several)
        for several in ("refuse", "channels", "cases", "first")
    }
    assert [len(found.cases[0].files) for found in every.values()] == [10, 10, 5, 5]
    rules = ReadRules(several_volumes="channels")
    assert len(read(every["channels"].cases[0].images[0], rules).volumes) == 2
    assert [case.id for case in every["cases"].cases] == ["a_TE_4.92", "a_TE_9.84", "b"]
    first, second, alone = every["cases"].cases
    assert first.attributes == {"volume": "TE 4.92", "split": "test"}
    assert alone.attributes == {"split": ""}
    tree = discover(study / "echo", several_volumes="cases")
    assert [case.images for case in (first, second)] == [case.images for case in tree.cases]
    for case in (first, second):
        assert len(read(case.images[0], ReadRules(several_volumes="cases")).volumes) == 1
    assert len(every["first"].unmatched) == 5


def test_a_row_that_names_a_file_of_many_frames_is_taken_apart(study: Path) -> None:
    (study / "m.csv").write_text("case_id,image\na,dwi/all.dcm\nb,echo/92.dcm\n")
    found = discover(study / "m.csv", several_volumes="cases")
    assert [case.id for case in found.cases] == ["a_b0", "a_b1000", "b"]
    tree = discover(study / "dwi", several_volumes="cases")
    assert [case.images for case in found.cases[:2]] == [case.images for case in tree.cases]
    assert [Path(file).name for file in found.cases[2].files] == ["92.dcm"]
    assert discover(study / "m.csv").cases[0].id == "a"


def test_a_row_with_one_label_for_all_volumes_stays_one_case(study: Path) -> None:
    (study / "mask.nii").touch()
    (study / "m.csv").write_text("case_id,image,label\na,echo,mask.nii\n")
    (case,) = discover(study / "m.csv", several_volumes="cases").cases
    assert (case.id, len(case.images[0].files)) == ("a", 10)
    with pytest.raises(InputError, match="E_MIXED_SERIES"):
        read(case.images[0], ReadRules(several_volumes="cases"))


def test_a_volume_with_the_id_of_another_row_is_told(study: Path) -> None:
    (study / "m.csv").write_text("case_id,image\na_TE_9.84,plain\na,echo\n")
    with pytest.raises(UsageError, match=r"'a_TE_9\.84' is already used at line 2"):
        discover(study / "m.csv", several_volumes="cases")


def looked_into(study: Path, cache: Path) -> tuple[Found, list[str]]:
    """What is found with a cache of headers, and which files were opened for it."""
    import gpuprep.io.dicom.header as header
    import gpuprep.io.dicom.telling as telling

    with (
        mock.patch.object(known, "_SETTLED_NS", -1),
        mock.patch.object(header, "read_header", wraps=header.read_header) as opened,
        mock.patch.object(telling, "read_slices", wraps=telling.read_slices) as frames,
    ):
        found = discover(study, several_volumes="cases", headers=cache)
    calls = [*opened.call_args_list, *frames.call_args_list]
    return found, [call.args[0].name for call in calls]


def test_a_second_look_opens_no_file(study: Path, tmp_path: Path) -> None:
    first, opened = looked_into(study, tmp_path / "headers")
    assert opened.count("all.dcm") == 2  # for its series, and for its frames
    second, opened = looked_into(study, tmp_path / "headers")
    assert second == first
    assert opened == []


def test_frames_of_another_file_are_read_anew(study: Path, tmp_path: Path) -> None:
    looked_into(study, tmp_path / "headers")
    (path,) = study.rglob("all.dcm")
    path.write_bytes(path.read_bytes() + b"\0" * 8)
    _, opened = looked_into(study, tmp_path / "headers")
    assert opened == ["all.dcm", "all.dcm"]
    assert looked_into(study, tmp_path / "headers")[1] == []


def test_frames_that_are_kept_torn_are_read_anew(study: Path, tmp_path: Path) -> None:
    cache = tmp_path / "headers"
    first, _ = looked_into(study, cache)
    lines = [line for line in cache.read_bytes().split(b"\n") if b"\\u0000" not in line]
    cache.write_bytes(b"\n".join(lines))
    again, opened = looked_into(study, cache)
    assert again == first
    assert opened == ["all.dcm"]
