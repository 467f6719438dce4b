"""Layouts that a file describes: MSD, nnU-Net and manifests."""

import json
from pathlib import Path
from typing import Any

import pytest
from support.trees import images, labels, names, plant, unmatched

from gpuprep.cohort.discover import Found, discover
from gpuprep.values.errors import UsageError

MSD: dict[str, Any] = {
    "modality": {"0": "FLAIR", "1": "T1w"},
    "labels": {"0": "background", "1": "edema"},
    "training": [{"image": "./imagesTr/b_10.nii.gz", "label": "./labelsTr/b_10.nii.gz"}],
    "test": ["./imagesTs/b_2.nii.gz"],
}
NNUNET: dict[str, Any] = {
    "channel_names": {"0": "CT", "1": "PET"},
    "labels": {"background": 0, "whole": [1, 2], "core": 2},
    "file_ending": ".nii.gz",
}


def described(root: Path, description: object, *files: str) -> Path:
    plant(root, *files)
    (root / "dataset.json").write_text(json.dumps(description))
    return root


def test_msd(tmp_path: Path) -> None:
    described(
        tmp_path,
        MSD,
        *("imagesTr/b_10.nii.gz", "labelsTr/b_10.nii.gz", "imagesTs/b_2.nii.gz"),
        *("imagesTr/._b_10.nii.gz", "imagesTr/extra.nii.gz"),
    )
    for root in (tmp_path, tmp_path / "dataset.json"):
        found = discover(root)
        assert found.layout == "msd"
        assert labels(found, tmp_path) == {
            "b_2": {},
            "b_10": {"segmentation": ["labelsTr/b_10.nii.gz"]},
        }
        assert found.cases[1].labels[0].classes.names == {1: "edema"}
        assert found.cases[1].attributes == {"split": "train", "channels": "FLAIR;T1w"}
        assert set(unmatched(found, tmp_path)) == {"imagesTr/extra.nii.gz"}


def test_msd_in_a_folder_below(tmp_path: Path) -> None:
    described(plant(tmp_path / "Task09", "imagesTr/b_10.nii.gz", "labelsTr/b_10.nii.gz"), MSD)
    assert [case.id for case in discover(tmp_path).cases] == ["b_2", "b_10"]
    described(plant(tmp_path / "Task10", "imagesTr/b_10.nii.gz"), MSD)
    with pytest.raises(UsageError, match="holds 2 datasets"):
        discover(tmp_path)


def test_msd_entries_with_missing_or_outside_files_stay_cases(tmp_path: Path) -> None:
    """Reading them fails: left out, their absence would be one line among the unmatched files."""
    training = [
        {"image": "imagesTr/a.nii.gz", "label": "labelsTr/a.nii.gz"},
        {"image": "imagesTr/b.nii.gz", "label": "../secret.nii.gz"},
        {"image": ["imagesTr/c0.nii.gz", "imagesTr/c1.nii.gz"], "fold": 3},
    ]
    plant(tmp_path, "secret.nii.gz")
    root = described(
        tmp_path / "in",
        {**MSD, "training": training, "test": []},
        *("imagesTr/a.nii.gz", "imagesTr/b.nii.gz", "imagesTr/c0.nii.gz", "imagesTr/c1.nii.gz"),
    )
    found = discover(root)
    assert names(found) == [[""], [""], ["FLAIR", "T1w"]]
    assert found.cases[2].attributes == {"split": "train", "fold": "3"}
    assert found.unmatched == ()
    assert found.cases[0].files[1] == str(root / "labelsTr/a.nii.gz")
    assert found.cases[1].files[1] == str(tmp_path / "secret.nii.gz")
    assert found.root == str(root)  # the reader refuses what lies outside
    (root / "imagesTr/c1.nii.gz").unlink()
    (root / "imagesTr/b.nii.gz").unlink()
    with pytest.raises(
        UsageError, match=r"lists 3 cases, and each lacks a file; the first: .*/a\."
    ):
        discover(root)


def test_four_digit_names_in_msd_are_not_channels(tmp_path: Path) -> None:
    described(
        tmp_path,
        {
            "modality": {"0": "CT"},
            "labels": {},
            "training": [
                {"image": "imagesTr/amos_0001.nii.gz", "label": "labelsTr/amos_0001.nii.gz"}
            ],
        },
        *("imagesTr/amos_0001.nii.gz", "labelsTr/amos_0001.nii.gz"),
    )
    found = discover(tmp_path)
    assert (found.layout, found.cases[0].id, names(found)) == ("msd", "amos_0001", [["CT"]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"not JSON.*line 1"),
        ("[]", "not an object"),
        ('{"training": [3]}', r"training\[0\] must be"),
        ('{"training": [{"label": "x"}]}', r"training\[0\] must have a path"),
        ('{"training": [], "test": {}}', "'test' must be a list"),
        ("[" * 200_000, "nested too deeply"),
        ('{"file_ending": ".png"}', "no volume format"),
    ],
)
def test_broken_descriptions(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "dataset.json").write_text(text)
    plant(tmp_path, "imagesTr/x.nii.gz")
    with pytest.raises(UsageError, match=message):
        discover(tmp_path)


def nnunet_files() -> list[str]:
    return [
        *("imagesTr/a_0000.nii.gz", "imagesTr/a_0001.nii.gz", "labelsTr/a.nii.gz"),
        *("imagesTr/b_0000.nii.gz", "labelsTr/b.nii.gz"),
        *("imagesTr/c_0000.nii.gz", "imagesTr/c_0001.nii.gz"),
        *("imagesTr/d_0000.nii.gz", "imagesTr/d_0001.nii.gz", "imagesTr/d_0002.nii.gz"),
        *("imagesTs/e_0000.nii.gz", "imagesTs/e_0001.nii.gz", "imagesTr/odd.nii.gz"),
    ]


def test_nnunet(tmp_path: Path) -> None:
    described(tmp_path, NNUNET, *nnunet_files())
    found = discover(tmp_path)
    assert found.layout == "nnunet"
    assert [case.id for case in found.cases] == ["a", "e"]
    assert names(found) == [["CT", "PET"]] * 2
    assert found.cases[0].labels[0].classes.names == {1: "whole", 2: "whole+core"}
    assert [case.attributes["split"] for case in found.cases] == ["train", "test"]
    reasons = unmatched(found, tmp_path)
    assert "has no channel 0001" in reasons["imagesTr/b_0000.nii.gz"]
    assert "has no label" in reasons["imagesTr/c_0001.nii.gz"]
    assert "undeclared channel 0002" in reasons["imagesTr/d_0000.nii.gz"]
    assert "label of case b" in reasons["labelsTr/b.nii.gz"]
    assert "imagesTr/odd.nii.gz" in reasons


def test_nnunet_version_1_and_without_description(tmp_path: Path) -> None:
    files = ("imagesTr/a_0000.nii.gz", "labelsTr/a.nii.gz")
    entry = {"image": "./imagesTr/a.nii.gz", "label": "./labelsTr/a.nii.gz"}
    old = {"modality": {"0": "CT"}, "labels": {"0": "background"}, "training": [entry]}
    described(tmp_path / "v1", old, *files)
    plant(tmp_path / "bare", *files)
    for root, channel in ((tmp_path / "v1", "CT"), (tmp_path / "bare", "")):
        found = discover(root)
        assert (found.layout, found.cases[0].id, names(found)) == ("nnunet", "a", [[channel]])


def test_nnunet_listed_files(tmp_path: Path) -> None:
    listed = {"a": {"images": ["x/one.nii.gz", "x/two.nii.gz"], "label": "y/one.nii.gz"}}
    described(
        tmp_path, {**NNUNET, "dataset": listed}, "x/one.nii.gz", "x/two.nii.gz", "y/one.nii.gz"
    )
    found = discover(tmp_path)
    assert images(found, tmp_path) == {"a": ["x/one.nii.gz", "x/two.nii.gz"]}
    assert labels(found, tmp_path) == {"a": {"segmentation": ["y/one.nii.gz"]}}


def manifest(root: Path, name: str, text: str) -> Found:
    plant(root, "a.nii", "b c.nii", "l1.nii", "l2.nii", "parts/x_10.nii", "parts/x_9.nii")
    (root / name).write_text(text, encoding="utf-8")
    return discover(root / name)


def test_table(tmp_path: Path) -> None:
    found = manifest(
        tmp_path,
        "cohort.csv",
        "\ufeffcase_id,image_T1,image_1,label,label_vessels,split,site\n"
        'ten,a.nii,"b c.nii",l1.nii;l2.nii,,train,x\n\n'
        f"two,a.nii,{tmp_path}/a.nii,parts,l1.nii,,é\n",
    )
    assert found.layout == "manifest"
    assert [case.id for case in found.cases] == ["ten", "two"]
    assert names(found) == [["T1", ""]] * 2
    assert found.cases[0].attributes == {"split": "train", "site": "x"}
    assert labels(found, tmp_path) == {
        "ten": {"segmentation": ["l1.nii", "l2.nii"]},
        "two": {"segmentation": ["parts/x_9.nii", "parts/x_10.nii"], "vessels": ["l1.nii"]},
    }
    assert found.cases[0].labels[0].classes.names == {1: "l1", 2: "l2"}
    assert found.cases[1].labels[1].classes.names == {}


@pytest.mark.parametrize("name", ["c.json", "c.jsonl", "wrapped.json"])
def test_json(tmp_path: Path, name: str) -> None:
    rows = [
        {"case_id": "a", "image": {"T1": "a.nii", "T2": "b c.nii"}, "label": ["l1.nii", "l2.nii"]},
        {"case_id": "b", "image": ["a.nii"], "label": None, "age": 7},
    ]
    lines = "\n".join(json.dumps(row) for row in rows)
    text = lines if name == "c.jsonl" else json.dumps({"cases": rows} if "w" in name else rows)
    found = manifest(tmp_path, name, text)
    assert names(found) == [["T1", "T2"], [""]]
    assert found.cases[1].attributes == {"age": "7"}
    assert len(found.cases[0].labels[0].sources) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("case_id,image\nx,gone.nii\n", r"line 2: image .*gone\.nii does not exist"),
        ("case_id,image\nx,a.nii\n\nx,a.nii\n", "line 4: case_id 'x' is already used at line 2"),
        ("case_id,image\nx,\n", "line 2: image is empty"),
        ("case_id,image\n,a.nii\n", "line 2: case_id is empty"),
        ("case_id,image\n../x,a.nii\n", "cannot name a folder"),
        ("case_id,image,\nx,a.nii,\n", "column 3 has no name"),
        ("case_id,image,image\nx,a.nii,a.nii\n", "'image' appears twice"),
        ("case_id,image,lable\nx,a.nii,l1.nii\n", "'lable': did you mean 'label'"),
        ("case_id,image,mask\nx,a.nii,l1.nii\n", "'mask': did you mean 'label'"),
        ("case_id,path\nx,a.nii\n", "no column 'image'; there are: case_id, path"),
        ("case_id,image\nx,a.nii,extra\n", "line 2: 3 cells, but the header has 2"),
        ('case_id,image\nx,"a.nii\n', "line 2: unexpected end"),
        ("case_id,image\n", "lists no case"),
        ("", "no column 'case_id'; there are: none"),
        ("case_id,image,label\nx,a.nii,l1.nii;gone.nii\n", r"label .*gone\.nii does not exist"),
        ("case_id,image\nx,a\0b/c.nii\n", "line 2"),
    ],
)
def test_faulty_tables_name_the_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        manifest(tmp_path, "m.csv", text)


def test_a_missing_file_stays_with_its_case(tmp_path: Path) -> None:
    rows = "a,a.nii,l1.nii\nb,gone.nii,\nc,a.nii,l1.nii;gone.nii\nd,a.nii,gone/\n"
    found = manifest(tmp_path, "m.csv", f"case_id,image,label\n{rows}")
    assert [case.id for case in found.cases] == ["a", "b", "c", "d"]
    assert images(found, tmp_path)["b"] == ["gone.nii"]
    assert labels(found, tmp_path)["c"] == {"segmentation": ["l1.nii", "gone.nii"]}
    assert labels(found, tmp_path)["d"] == {"segmentation": ["gone"]}


def test_several_faults_are_told_at_once(tmp_path: Path) -> None:
    rows = "".join(f"c{i},gone{i}.nii\n" for i in range(30))
    with pytest.raises(UsageError) as caught:
        manifest(tmp_path, "m.csv", f"case_id,image\n{rows}")
    assert caught.value.message.count("does not exist") == 10


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("m.json", "3", "must be a list of cases"),
        ("m.json", "[3]", "entry 1: must be an object"),
        ("m.jsonl", '{"case_id": "a", "image": "a.nii"}\n{', "line 2: not JSON"),
        ("m.jsonl", '{"case_id": "a", "image": 3}', "line 1: image is no path"),
        ("m.jsonl", '{"case_id": "a"}', "line 1: there is no image"),
        ("m.jsonl", '{"case_id": "a", "imag": "a.nii"}', "did you mean 'image'"),
    ],
)
def test_faulty_json_names_the_entry(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        manifest(tmp_path, name, text)


def test_text_that_is_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_bytes(b"case_id,image\n\xff,a.nii\n")
    with pytest.raises(UsageError, match="not UTF-8"):
        discover(tmp_path / "m.csv")


def test_a_dicom_folder_as_image(scans: Path, tmp_path: Path) -> None:
    series = scans / "ge_tilt_varspacing_ct"
    found = manifest(tmp_path, "m.csv", f"case_id,image_CT\nhead,{series}\n")
    assert len(found.cases[0].images[0].files) == 28
    assert names(found) == [["CT"]]
    many = scans / "nasty_dicom" / "ct1_6_transfer_syntaxes"
    with pytest.raises(UsageError, match="holds 2 DICOM series"):
        manifest(tmp_path, "m.csv", f"case_id,image\nhead,{many}\n")


def test_monai_lists_in_any_json(tmp_path: Path) -> None:
    plant(tmp_path, "imagesTr/b_10.nii.gz", "labelsTr/b_10.nii.gz", "imagesTs/b_2.nii.gz")
    (tmp_path / "fold0.json").write_text(json.dumps(MSD))
    found = discover(tmp_path / "fold0.json")
    assert (found.layout, len(found.cases)) == ("msd", 2)
