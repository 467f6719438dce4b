"""The benchmark of nnU-Net's preprocessing: its data sets, what it measures of processes, its table."""

import importlib
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from support.nnunet_goldens import GOLDENS

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
MIB = 1 << 20

TREE = """
import os, subprocess, sys, time
block = bytearray(os.urandom(1 << 20) * 40)
child = "import os, time; b = bytearray(os.urandom(1 << 20) * 60); s = time.process_time()\\n"
child += "while time.process_time() - s < 0.6: pass\\nprint('done')"
if "orphan" in sys.argv:
    subprocess.Popen([sys.executable, "-c", child])
else:
    subprocess.run([sys.executable, "-c", child], check=True)
print("said")
sys.exit(int(sys.argv[-1]))
"""

READER = """
import mmap, subprocess, sys
whole, once, mapped, never = sys.argv[1:5]
for _ in range(2):
    open(whole, "rb").read()
subprocess.run([sys.executable, "-c", "import sys; open(sys.argv[1], 'rb').read()", once], check=True)
with open(mapped, "rb") as file:
    mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)[:10]
"""

TOOL = """
import os, sys
from pathlib import Path
number = sys.argv[sys.argv.index("-d") + 1]
(raw,) = Path(os.environ["nnUNet_raw"]).glob(f"Dataset{number}_*")
cases = Path(os.environ["nnUNet_preprocessed"], raw.name, "nnUNetPlans_2d")
cases.mkdir(parents=True)
for image in (raw / "imagesTr").iterdir():
    (cases / (image.name + ".b2nd")).write_bytes(image.read_bytes())
    os.link(cases / (image.name + ".b2nd"), cases.parent / image.name)
"""


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module of the benchmarks by name, imported as their scripts do."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


def test_the_clinical_set_has_every_organ_and_no_two_cases_alike(
    script: Any, tmp_path: Path
) -> None:
    datasets = script("nnunet_datasets")
    datasets.make(tmp_path, tmp_path, [709], small=True)
    folder = tmp_path / "Dataset709_ClinicalCt"
    told = json.loads((folder / "dataset.json").read_text())
    assert told["numTraining"] == len(list((folder / "imagesTr").iterdir())) == 3
    images = []
    for number in range(3):
        label = sitk.ReadImage(str(folder / f"labelsTr/ct_{number}.nii.gz"))
        image = sitk.ReadImage(str(folder / f"imagesTr/ct_{number}_0000.nii.gz"))
        assert set(np.unique(sitk.GetArrayFromImage(label))) == set(told["labels"].values())
        assert image.GetSpacing() == label.GetSpacing()
        images.append(sitk.GetArrayFromImage(image))
    assert all((images[0] != other).mean() > 0.5 for other in images[1:])
    (folder / "dataset.json").write_text("kept")
    datasets.make(tmp_path, tmp_path, [709], small=True)
    assert (folder / "dataset.json").read_text() == "kept"


def test_data_sets_of_scans_are_those_of_the_goldens(
    script: Any, scans: Path, tmp_path: Path
) -> None:
    """By what nnU-Net had of them: dataset.json, spacings, and the range of the foreground."""
    datasets = script("nnunet_datasets")
    datasets.make(tmp_path, scans, [702, 704])
    for number, images, label in (
        (702, "imagesTr/*", "labelsTr/{}.nii.gz"),
        (704, "images/*", "labels/{}_seg.mha"),
    ):
        folder = tmp_path / datasets.name_of(number)
        golden = GOLDENS["datasets"][folder.name]
        assert (folder / "dataset.json").read_text() == golden["dataset"]
        print_of = json.loads(golden["dataset_fingerprint"])
        spacings, values = [], []
        for file in sorted(folder.glob(images)):
            name = file.name.removesuffix("_0000.nii.gz").removesuffix(".mha")
            image = sitk.ReadImage(str(file))
            inside = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / label.format(name)))) > 0
            spacings.append(list(image.GetSpacing()[::-1]))
            values.append(sitk.GetArrayFromImage(image)[inside])
        assert spacings == print_of["spacings"]
        told = print_of["foreground_intensity_properties_per_channel"]["0"]
        pool = np.concatenate(values)
        assert (pool.min(), pool.max()) == (told["min"], told["max"])


def test_a_process_tree_is_measured_with_its_orphans(script: Any) -> None:
    tree = script("process_tree")
    cores = sorted(os.sched_getaffinity(0))[:1]
    for word in ("child", "orphan"):
        taken = tree.measure([sys.executable, "-c", TREE, word, "3"], dict(os.environ), cores)
        assert taken.code == 3
        assert "said" in taken.output
        assert 0.6 <= taken.cpu < 30
        assert taken.wall >= 0.6 * (word == "child")
        assert taken.peak_bytes >= 100 * MIB * (word == "child")


@pytest.mark.parametrize("has_strace", [True, False])
def test_reads_of_files_are_counted(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_strace: bool
) -> None:
    if has_strace and not shutil.which("strace"):
        pytest.skip("strace is not installed")
    if not has_strace:
        monkeypatch.setattr(shutil, "which", lambda _: None)
    files = [tmp_path / name for name in ("whole", "once", "mapped", "never")]
    for file in files:
        file.write_bytes(bytes(100_000))
    command = [sys.executable, "-c", READER, *map(str, files)]
    cores = sorted(os.sched_getaffinity(0))[:1]
    reads = script("process_tree").count_reads(
        command, dict(os.environ), cores, files, tmp_path / "traces"
    )
    assert [reads.opens[file] for file in files] == [2, 1, 1, 0]
    assert not (tmp_path / "traces").exists()
    if has_strace:
        assert reads.times == 1
        assert reads.whole(100_000) == [2, 1, 1, 0]
        assert reads.whole(100_001) == []
    else:
        assert (reads.times, reads.whole(0)) == (None, [])


def test_the_table_has_both_tools(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = script("nnunet")
    stand_in = (sys.executable, "-c", TOOL)
    both = [bench.Tool(name, stand_in, ("-np",)) for name in ("nnU-Net", "gpuprep")]
    monkeypatch.setattr(bench, "tools", lambda _: both)
    options = ["--work", str(tmp_path), "--small", "--datasets", "709", "--processes", "1"]
    monkeypatch.setattr(sys, "argv", ["nnunet.py", *options, "--json", str(tmp_path / "it.json")])
    bench.main()
    found = json.loads((tmp_path / "it.json").read_text())
    theirs, ours = found["rows"]
    assert (theirs["tool"], ours["tool"]) == ("nnU-Net", "gpuprep")
    assert ours["files"] == {"709/nnUNetPlans_2d": 3}
    assert ours["same_files"]
    images = (tmp_path / "raw-small/Dataset709_ClinicalCt/imagesTr").iterdir()
    assert ours["bytes"] == sum(file.stat().st_size for file in images)
    assert ours["cpu_ratio"] > 0
    assert {"machine", "versions", "processes"} <= found.keys()
    assert found["machine"]["commit"]
    if shutil.which("strace"):
        assert 0.5 < ours["reads"] <= 1
    assert ours["opens"] == 0.5  # images, and no labels
    assert "CPU" in capsys.readouterr().out


def test_a_tool_that_fails_is_told_with_what_it_said(script: Any, tmp_path: Path) -> None:
    bench = script("nnunet")
    place = bench.Place(tmp_path, tmp_path, (min(os.sched_getaffinity(0)),), 1)
    tool = bench.Tool("gpuprep", (sys.executable, "-c", "raise SystemExit('no such thing')"), ())
    with pytest.raises(RuntimeError, match="no such thing"):
        bench.run_tool(tool, [701], place, counted=False)


def test_keeping_decoded_cases_is_measured(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = script("decoded_scratch")
    options = ["--work", str(tmp_path), "--scans", str(tmp_path), "--shape", "20", "64", "64"]
    options += ["--rounds", "1", "--json", str(tmp_path / "it.json")]
    monkeypatch.setattr(sys, "argv", ["decoded_scratch.py", *options])
    bench.main()
    rows = json.loads((tmp_path / "it.json").read_text())["rows"]
    assert [row["case"] for row in rows] == ["CT phantom", "CT phantom, not compressed"]
    assert all(0 < row["share"] < 1 and row["take"] > 0 for row in rows)
    assert "CT phantom" in capsys.readouterr().out
    assert not any((tmp_path / "scratch").iterdir())
