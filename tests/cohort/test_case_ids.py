"""Case ids: safe in file systems, shells and tables, told by names or written in a manifest."""

import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.cohorts import run, write_pair
from support.trees import plant

import gpuprep
from gpuprep.cohort.discover import discover
from gpuprep.cohort.layouts.naming import case_id
from gpuprep.values.errors import UsageError

pytestmark = pytest.mark.usefixtures("reads_here")


@given(st.lists(st.text(max_size=120), min_size=1, max_size=3))
def test_case_ids_are_safe_path_components(parts: list[str]) -> None:
    try:
        "".join(parts).encode()
    except UnicodeEncodeError:
        return  # listing refuses such names before they get here
    identifier = case_id(*parts)
    assert identifier
    assert identifier not in (".", "..")
    assert not identifier.startswith((".", " "))
    assert not set(identifier) & set("/\\:*?\"<>|\0\n\r\t ,;'`$&()[]{}!#~%^=@")
    assert identifier[0] not in "-+"
    assert shlex.quote(identifier).strip("'") == identifier  # nothing in it to be escaped
    assert len(identifier.encode()) <= 200
    assert case_id(identifier) == identifier


@pytest.mark.parametrize(
    ("name", "identifier"),
    [
        ("Müller, Bauch (2)", "Müller_Bauch_2"),
        ("it's; $HOME `x`", "it_s_HOME_x"),
        ("-rf", "_rf"),
        ("=SUM(A1)", "SUM_A1"),
        ("क्षि 7", "क्षि_7"),
        ("a.b-c+d_e", "a.b-c+d_e"),
        ("  ..  ", "_"),
    ],
)
def test_ids_have_nothing_that_hurts_in_shells_and_tables(name: str, identifier: str) -> None:
    assert case_id(name) == identifier


def test_names_that_become_one_id_are_refused_and_a_manifest_keeps_its_own(tmp_path: Path) -> None:
    plant(tmp_path, "a b.nii", "sub/a b.nii", "sub/a_b.nii")
    with pytest.raises(UsageError, match=r"'sub_a_b\.nii' for both"):
        discover(tmp_path)
    (tmp_path / "m.csv").write_text("case_id,image\na b,a b.nii\n")
    assert [case.id for case in discover(tmp_path / "m.csv").cases] == ["a b"]
    (tmp_path / "m.csv").write_text("case_id,image\na:b,a b.nii\n")
    with pytest.raises(UsageError, match="'a:b' cannot name a folder; 'a_b' could"):
        discover(tmp_path / "m.csv")


def test_long_ids_stay_apart() -> None:
    assert case_id("x" * 300 + "1") != case_id("x" * 300 + "2")


def test_a_case_stored_with_a_space_in_its_id_opens_and_is_not_done_again(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    write_pair(tmp_path / "in", 0)
    manifest = tmp_path / "in" / "m.csv"
    manifest.write_text("case_id,image\na b,volume-0.nii.gz\n")
    assert run(manifest, tmp_path / "out").finished.done == 1
    assert list(gpuprep.open(tmp_path / "out")) == ["a b"]
    assert gpuprep.open(tmp_path / "out")["a b"].image.shape
    assert run(manifest, tmp_path / "out").finished.skipped == 1
