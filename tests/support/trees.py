"""Small trees of empty files, and a cohort written down as plain text to compare with."""

from collections.abc import Iterable
from pathlib import Path

from gpuprep.cohort.discover import Found


def plant(root: Path, *files: str) -> Path:
    """Make empty files under a root; returns the root."""
    for file in files:
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def images(found: Found, root: Path) -> dict[str, list[str]]:
    """Case id → its images' paths below the root."""
    return {
        case.id: [str(Path(source.path).relative_to(root)) for source in case.images]
        for case in found.cases
    }


def labels(found: Found, root: Path) -> dict[str, dict[str, list[str]]]:
    """Case id → label name → its files below the root."""
    return {
        case.id: {
            label.name: [str(Path(source.path).relative_to(root)) for source in label.sources]
            for label in case.labels
        }
        for case in found.cases
    }


def unmatched(found: Found, root: Path) -> dict[str, str]:
    """Path below the root → reason."""
    return {str(Path(entry.path).relative_to(root)): entry.reason for entry in found.unmatched}


def names(found: Found) -> list[list[str]]:
    """The channel names of each case."""
    return [[source.name for source in case.images] for case in found.cases]


def used(found: Found) -> Iterable[str]:
    """Every path that some case reads, as often as it is read."""
    for case in found.cases:
        sources = [*case.images, *(source for label in case.labels for source in label.sources)]
        for source in sources:
            yield from source.files or (source.path,)
