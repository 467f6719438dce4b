"""A config of three outputs, each of which differs from the others in another way."""

from pathlib import Path
from typing import Any

from support.cohorts import CONFIG

OUTPUTS: dict[str, dict[str, Any]] = {
    "fine": {},
    "coarse": {
        "resample": {"spacing": [1.4, 1.4, 3.0], "interpolation": "linear"},
        "intensity": [{"zscore": {"over": "foreground"}}],
        "store": {"dtype": "float32", "chunk": 16, "pyramid": 1},
    },
    "bone": {"intensity": [{"window": {"level": 300, "width": 900}}]},
}
SEVERAL: dict[str, Any] = {**CONFIG, "outputs": OUTPUTS}


def alone(name: str) -> dict[str, Any]:
    """The config of one output, as if there were no other."""
    changed = OUTPUTS[name]
    image = {**CONFIG["image"], **{key: value for key, value in changed.items() if key != "store"}}
    return {**CONFIG, "image": image, "store": changed.get("store", {})}


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file of a case, or of an output of one, but its record, by its path."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name != "record.json"]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
