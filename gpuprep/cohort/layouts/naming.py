"""What file names tell: case ids, and which part a file plays in a case.

A stem such as ``brain1_t1ce`` or ``segmentation`` splits into a *prefix* (``brain1``, or nothing) and a
*word* at its end that tells the part: a label, an image, an image of a modality, or an MR sequence. A stem
without such a word is its own prefix, and an image.
"""

from __future__ import annotations

import hashlib
import re
import sys
import unicodedata
from dataclasses import dataclass
from typing import Literal

from gpuprep.values.errors import UsageError

VOXELS_OF_HEADER = {".hdr": ".img", ".hdr.gz": ".img.gz"}
VOLUME_SUFFIXES = frozenset(
    {".nii", ".nii.gz", ".mha", ".mhd", ".nrrd", ".nhdr", *VOXELS_OF_HEADER}
)
HEADERS_OF_VOXELS = {
    ".img": (".hdr", ".mhd"),
    ".img.gz": (".hdr.gz",),
    ".raw": (".mhd", ".nhdr"),
    ".raw.gz": (".nhdr",),
    ".zraw": (".mhd",),
}
_DOUBLE_SUFFIXES = (".nii.gz", ".hdr.gz", ".img.gz", ".raw.gz")
DICOM_NAME = re.compile(r"dicomdir|.*\.(?:dcm|dicom|ima)", re.IGNORECASE)
UNSUFFIXED = re.compile(r"[^.]+|.*\.[0-9]+")  # IM0001, or CT.1.2.840.113619.2

Part = Literal["label", "image", "modality", "sequence"]

SEPARATORS = "_-. "
# fmt: off
_LABELS = (
    "seg", "segm", "dseg", "segmentation", "segmentations", "label", "labels", "labelmap", "mask", "masks",
    "lesion", "lesions", "roi", "gt", "groundtruth", "ground-truth", "ground_truth", "annotation",
    "annotations",
)
# fmt: on
_IMAGES = ("image", "imaging", "img", "volume", "scan")
_MODALITIES = ("ct", "cta", "cect", "ncct", "mr", "mri", "mra", "pet", "pt", "suv", "us")
# In the order of channels: BraTS first, then what other MR cohorts add.
_SEQUENCES = (
    ("t1", "t1n", "t1w"),
    ("t1ce", "t1c", "t1gd"),
    ("t2", "t2w"),
    ("flair", "t2f"),
    ("pd", "pdw"),
    ("dwi",),
    ("adc",),
    ("swi",),
)
_RANKS = {word: rank for rank, words in enumerate(_SEQUENCES) for word in words}
_PARTS: dict[str, Part] = {
    **dict.fromkeys(_LABELS, "label"),
    **dict.fromkeys(_IMAGES, "image"),
    **dict.fromkeys(_MODALITIES, "modality"),
    **dict.fromkeys(_RANKS, "sequence"),
}
PAIRING_WORDS = frozenset((*_LABELS, *_RANKS))
"""Words at the end of a name, in lower case, without which no two files are one case by their names."""
_ROLE = re.compile(
    rf"(?:(?P<prefix>.*)[{re.escape(SEPARATORS)}])?(?P<word>{'|'.join(map(re.escape, _PARTS))})",
    re.IGNORECASE | re.DOTALL | re.ASCII,  # no other script's letter stands for one of a word
)
# ``lesion`` and ``roi`` also name what whole studies are about; they count only at a name's end.
_LABEL_TOKEN = re.compile(
    r"(?<![^\W\d_])(?:seg|segm|dseg|segmentations?|label|labels(?:Tr|Ts)?|labelmap|masks?|gt"
    r"|ground[-_ ]?truth|annotations?|(?:lesions?|roi)$)(?![^\W\d_])",
    re.IGNORECASE,
)
LABEL_TRACES = ("seg", "label", "mask", "gt", "truth", "annotation", "lesion", "roi")
"""Without one of these, in lower case, no name speaks of labels."""
_PLAIN = re.compile(r"[A-Za-z0-9_.+-]*")
_AS_IT_IS = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.+-]*[A-Za-z0-9_+-])?")
_LEADING = re.compile(r"^[-+]+")  # an option to a shell, a formula to a table
_UNSAFE = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|]+')
_MOST_ID_BYTES = 200  # leaves room for the store's suffixes in a 255-byte file name


@dataclass(frozen=True, slots=True)
class Role:
    """The part a file plays: ``part`` of the case ``prefix``, told by ``word`` (as written)."""

    prefix: str
    word: str
    part: Part

    @property
    def rank(self) -> int:
        """Position of an MR sequence among the channels of a case."""
        return _RANKS[self.word.lower()]


def role_of(stem: str) -> Role:
    """Split a stem into the case it belongs to and the part it plays there."""
    match = _ROLE.fullmatch(stem)
    if match is None:
        return Role(stem, "", "image")
    word = match["word"]
    return Role(match["prefix"] or "", word, _PARTS[word.lower()])


def is_label_word(name: str) -> bool:
    """Whether a whole name, such as a folder's, means label maps."""
    return _PARTS.get(name.lower()) == "label"


def looks_like_label(file: str) -> bool:
    """Whether a path inside a tree (without suffix) speaks of labels in its name or a folder's."""
    return _LABEL_TOKEN.search(file) is not None


def case_id(*parts: str) -> str:
    """A case id from names of files and folders: letters of every script, digits, ``_ - . +``.

    What else there is, and hurts in shells and tables (spaces, commas, quotes, brackets), becomes ``_``.
    """
    text = "_".join(filter(None, parts))
    if len(text) <= _MOST_ID_BYTES and _AS_IT_IS.fullmatch(text):
        return text  # as nearly all: what follows would change nothing
    text = unicodedata.normalize("NFC", text)
    if not _PLAIN.fullmatch(text):
        text = "".join(letter if _stays(letter) else "\0" for letter in text)
    return folder_name(_LEADING.sub("_", text.strip(".\0")))


def _stays(letter: str) -> bool:
    return letter in "_-.+" or unicodedata.category(letter)[0] in "LMN"


def folder_name(name: str) -> str:
    """One safe path component from a name: NFC, no separators or control characters, at most 200 bytes.

    What is cut from an over-long name is kept apart by a hash.
    """
    text = unicodedata.normalize("NFC", name)
    text = _UNSAFE.sub("_", text).strip(" .") or "_"
    coded = text.encode()
    if len(coded) <= _MOST_ID_BYTES:
        return text
    digest = hashlib.sha256(coded).hexdigest()[:12]
    return f"{coded[: _MOST_ID_BYTES - 13].decode(errors='ignore').rstrip(' .')}-{digest}"


def check_read_as_utf8(path: str) -> None:
    """Refuse names of files that this Python reads in another encoding: a case would get a wrong id.

    Raises:
        UsageError: the path has letters beyond ASCII, and Python's file names are not UTF-8.
    """
    if path.isascii() or (encoding := sys.getfilesystemencoding()) == "utf-8":
        return
    shown = path.encode("ascii", "backslashreplace").decode()
    raise UsageError(
        f"this Python takes file names for {encoding}, and {shown} is UTF-8",
        advice="set PYTHONUTF8=1 before Python starts",
    )


def is_repeated(folder: str, stem: str) -> bool:
    """Whether a stem begins with the name of the folder it lies in, as ``s01/s01_ct`` does."""
    return stem == folder or (stem.startswith(folder) and not stem[len(folder)].isalnum())


def path_id(folder: str, stem: str) -> str:
    """A case id from a path inside a tree; folders that the stem repeats at its start are left out."""
    if not folder:
        return case_id(stem)
    parents = (part for part in folder.split("/") if not is_repeated(part, stem))
    return case_id(*parents, stem)


def split_suffix(name: str) -> tuple[str, str]:
    """Stem and lower-case suffix of a file name; ``.nii.gz`` counts as one suffix."""
    if name.endswith(".nii.gz"):  # as most are
        return name[:-7], ".nii.gz"
    if name[-3:].lower() == ".gz" and name.lower().endswith(_DOUBLE_SUFFIXES):
        stem, inner, outer = name.rsplit(".", 2)
        return stem, f".{inner}.{outer}".lower()
    stem, dot, suffix = name.rpartition(".")
    return (stem, f".{suffix}".lower()) if dot and stem else (name, "")


def split_path(file: str) -> tuple[str, str]:
    """Folder (``""`` at the root) and name of a path inside a tree."""
    folder, _, name = file.rpartition("/")
    return folder, name


def stem_of(file: str) -> str:
    """The file's name without its folder and suffix."""
    return split_suffix(split_path(file)[1])[0]


def join(folder: str, name: str) -> str:
    """A path inside a tree from a folder (``""`` is the root) and a name."""
    return f"{folder}/{name}" if folder else name


def looks_like_dicom(name: str) -> bool:
    """Whether a file may be DICOM judging by its name alone."""
    return bool(DICOM_NAME.fullmatch(name) or UNSUFFIXED.fullmatch(name))
