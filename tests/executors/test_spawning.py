"""A user's script calls ``gpuprep.run`` at its top level: workers must not run the script again."""

import os
import subprocess
import sys
from pathlib import Path

import gpuprep

SCRIPT = """\
print("the script runs")
import gpuprep
report = gpuprep.run("FOLDER", "out", scheduler="local", workers=2)
print(report.finished.done, "done")
"""


def test_a_script_without_a_guard_runs_once(cohort_folder, tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT.replace("FOLDER", cohort_folder.name))
    environment = {**os.environ, "PYTHONPATH": str(Path(gpuprep.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["the script runs", "4 done"]
    assert "Traceback" not in done.stderr


def test_other_processes_still_import_their_script():
    from multiprocessing import spawn

    from gpuprep.executors.clusters.local import leave_script_alone

    before = {k: v for k, v in spawn.get_preparation_data("Process-1").items() if "main" in k}
    leave_script_alone()
    after = spawn.get_preparation_data("Process-1")
    assert {k: v for k, v in after.items() if "main" in k} == before
    ours = spawn.get_preparation_data("Dask Worker process (from Nanny)")
    assert not [k for k in ours if "main" in k]
