"""The table of public data sets: how each lies on disk once its archives are unpacked.

A row names the trees that its data set is published as, and where that is seen. Rows of CT and PET stand
here, those of MR and stroke in ``public_mr.py``.
"""

from __future__ import annotations

from gpuprep.cohort.layouts import classes
from gpuprep.cohort.layouts.public_mr import AMOS, BRATS, CHAOS, ISLES_22, ISLES_24, PICAI
from gpuprep.cohort.layouts.row import ANY, SEGMENTATION, Row, classes_by

# kits23 (dataset/), kits21 (data/, aggregates of several annotators), kits19 (data/)
_KITS_CASE = r"(?P<case>case_[0-9]{5})"
_KITS = Row(
    "kits",
    "case_00000/imaging with segmentation or aggregated_MAJ_seg (KiTS19, 21, 23)",
    (r"case_[0-9]{5}/imaging\.",),
    {"": (rf"{_KITS_CASE}/imaging",)},
    {
        SEGMENTATION: tuple(
            rf"{_KITS_CASE}/{name}"
            for name in (
                *("segmentation", "aggregated_MAJ_seg", "aggregated_AND_seg"),
                *("aggregated_OR_seg", "aggregated_seg"),
            )
        ),
    },
    classes=classes_by(("", classes.KITS)),
    id="{case}",
    aside=(
        (rf"{_KITS_CASE}/(?:instances|segmentations)/.*", "one annotator's mask of one instance"),
    ),
    own=r"kits(?:19|21|23)?\.json|clinical_data\.json|segmentation_samples.*\.json|[0-9]{10}_\w+\.json",
    sources=(
        "github.com/neheller/kits19",
        "github.com/neheller/kits21",
        "github.com/neheller/kits23",
    ),
)

# 1.0 and 1.1 Mini: BDMAP_…/; 3.0 Mini: image_only/ and mask_only/
_BDMAP = r"(?P<case>BDMAP_[A-Z]?[0-9]+)"
_ABDOMEN_ATLAS = Row(
    "abdomenatlas",
    "BDMAP_00000001/ct with combined_labels, or image_only/ and mask_only/ (AbdomenAtlas)",
    (r"bdmap_[a-z]?[0-9]+/ct\.",),
    {"CT": (rf"image_only/{_BDMAP}/ct", rf"{_BDMAP}/ct")},
    {SEGMENTATION: (rf"(?:mask_only/)?{_BDMAP}/combined_labels",)},
    (rf"(?:mask_only/)?{_BDMAP}/segmentations/(?P<structure>{ANY})",),
    id="{case}",
    classes=classes_by(("", classes.ABDOMEN_ATLAS)),
    own=r"AbdomenAtlas.*\.csv",
    sources=(
        "huggingface.co/datasets/AbdomenAtlas/_AbdomenAtlas1.1Mini",
        "huggingface.co/datasets/AbdomenAtlas/AbdomenAtlas3.0Mini",
        "github.com/MIC-DKFZ/nnUNet (Dataset023, Dataset224)",
    ),
)

# 2022 imagesTr/ and labelsTr/ (there written CHUM_001 and CHUM-001), 2026 a folder per patient, 2025 a folder
# per task above it; 2020 …_ct_gtvt and 2021 …_gtvt. Tasks repeat patients, whose masks only the first has.
_PATIENT = r"(?P<name>(?P<center>CH[A-Z]{2}|CHB|MDA|USZ|HMR|HGJ)[-_]?(?P<number>[0-9]+))"
_OWN_FOLDER = r"(?:(?P<task>Task[ _]?[0-9])/)?(?:[A-Z]{3,4}[-_]?[0-9]+/)?"
_HECKTOR = Row(
    "hecktor",
    "imagesTr/CHUM-001__CT and __PT with labelsTr/CHUM-001 (HECKTOR)",
    (r"(?:ch[a-z]{2}|chb|mda|usz|hmr|hgj)-?[0-9]+_+ct\.", r"[0-9]_+pt\."),
    {
        name: (
            rf"images(?:Tr|Ts)/{_PATIENT}__{name}",
            rf"{_OWN_FOLDER}{_PATIENT}_{{1,2}}{name}",
        )
        for name in ("CT", "PT")
    },
    {
        SEGMENTATION: (
            rf"labels(?:Tr|Ts)/{_PATIENT}",
            rf"{_OWN_FOLDER}{_PATIENT}(?:_ct)?_gtvt",
            rf"{_OWN_FOLDER}{_PATIENT}",
        ),
    },
    id="{task}/{name}",
    classes=classes_by(("", classes.HECKTOR)),
    attributes={
        "split": ((r"imagesTs/", "test"), (r"imagesTr/", "train")),
        "center": ((r"([A-Z]{3,4})[-_]?[0-9]+_+(?:CT|ct)$", r"\1"),),
    },
    aside=(
        (
            rf"(?:images(?:Tr|Ts)/)?{_OWN_FOLDER}{_PATIENT}__(?:CTPlanning|RTDOSE|dosimetry_CT|radiotherapy_.*)",
            "of the radiotherapy, on a grid of its own",
        ),
    ),
    own=r"hecktor.*\.(?:csv|xlsx)",
    sources=(
        "hecktor.grand-challenge.org/Data",
        "hecktor25.grand-challenge.org/dataset",
        "hecktor26.grand-challenge.org/dataset",
        "github.com/voreille/hecktor",
    ),
)

# TCIA FDG-PET-CT-Lesions as NIfTI (autoPET I, II); autoPET III and IV are nnU-Net folders.
_STUDY = rf"(?P<case>PETCT_[0-9a-f]+)/(?P<study>{ANY})"
_AUTOPET = Row(
    "autopet",
    "PETCT_0011f3deaf/STUDY/CTres and SUV with SEG (autoPET I and II)",
    (r"petct_[0-9a-f]+/[^/]+/suv\.", r"/ctres\."),
    {"CT": (rf"{_STUDY}/CTres",), "SUV": (rf"{_STUDY}/SUV",)},
    {SEGMENTATION: (rf"{_STUDY}/SEG",)},
    id="{case}/{study}",
    classes=classes_by(("", classes.AUTOPET)),
    attributes={"subject": ((r"(PETCT_[0-9a-f]+)/", r"\1"),)},
    aside=(
        (rf"{_STUDY}/CT", "CT on its own grid; CTres is the one on the PET's"),
        (rf"{_STUDY}/PET", "PET in counts; SUV is taken"),
    ),
    own=r"Clinical Metadata.*\.csv",
    sources=(
        "autopet-ii.grand-challenge.org/dataset",
        "github.com/MIC-DKFZ/nnUNet (Dataset221)",
    ),
)

# luna16.grand-challenge.org/Data: subset0 … subset9 and a folder of lung masks, all named by series UID
_UID = r"(?P<case>[0-9]+(?:\.[0-9]+){3,})"
_LUNA16 = Row(
    "luna16",
    "subset0/UID.mhd with seg-lungs-LUNA16/UID.mhd (LUNA16)",
    (r"subset[0-9]/[0-9.]+\.mhd",),
    {"CT": (rf"subset[0-9]/{_UID}",)},
    {SEGMENTATION: (rf"seg-lungs-LUNA16/{_UID}",)},
    id="{case}",
    attributes={"subset": ((r"subset([0-9])/", r"\1"),)},
    own=r"(?:annotations(?:_excluded)?|candidates(?:_V2)?|additional_annotations|sampleSubmission)\.csv",
    sources=("luna16.grand-challenge.org/Data", "github.com/YichenGong/lung-cancer-detector"),
)

# OrganSegmentations/ in the download. Others call their files so: only there do values mean these organs.
_CT_ORG = Row(
    "ct-org",
    "volume-0 with labels-0 (CT-ORG)",
    (r"/volume-[0-9]+\.", r"/labels-[0-9]+\."),
    {"CT": (r"volume-(?P<number>[0-9]+)",)},
    {SEGMENTATION: (r"labels-(?P<number>[0-9]+)",)},
    id="volume-{number}",
    classes=classes_by((r"(?i)OrganSegmentations/|CT[-_ ]?ORG", classes.CT_ORG)),
    sources=(
        "cancerimagingarchive.net/collection/ct-org",
        "huggingface.co/datasets/MedOtter/ct-org",
    ),
)

# v1 and v2 of CT, and MRI: s0000/ct or mri, meta.csv
_SUBJECT_TS = r"(?P<case>s[0-9]{4})"
_TOTALSEGMENTATOR = Row(
    "totalsegmentator",
    "s0000/ct or mri with segmentations/STRUCTURE (TotalSegmentator)",
    (r"s[0-9]{4}/(?:ct|mri)\.", r"s[0-9]{4}/segmentations/"),
    {"": (rf"{_SUBJECT_TS}/(?:ct|mri)",)},
    structures=(rf"{_SUBJECT_TS}/segmentations/(?P<structure>{ANY})",),
    id="{case}",
    table=("meta.csv", "image_id"),
    sources=(
        "zenodo.org/records/10047292",
        "zenodo.org/records/11367005",
        "github.com/MIC-DKFZ/nnUNet (Dataset227)",
    ),
)

# A DICOM series of each structure. Archives inside the archive unpack to PATIENT_DICOM, or to that in itself.
_IRCADB_CASE = r"3Dircadb1\.(?P<number>[0-9]+)"
_IRCADB = Row(
    "ircadb",
    "3Dircadb1.1/PATIENT_DICOM with MASKS_DICOM/STRUCTURE (3D-IRCADb-01)",
    (r"3dircadb1\.[0-9]+/patient_dicom/",),
    {"CT": (rf"{_IRCADB_CASE}/PATIENT_DICOM(?:/PATIENT_DICOM)?",)},
    structures=(rf"{_IRCADB_CASE}/MASKS_DICOM(?:/MASKS_DICOM)?/(?P<structure>{ANY})",),
    id="3Dircadb1.{number}",
    aside=((r"3Dircadb1\.[0-9]+/LABELLED_DICOM.*", "all masks in one; MASKS_DICOM is taken"),),
    series=True,
    alone=True,
    sources=(
        "ircad.fr/research/data-sets/liver-segmentation-3d-ircadb-01",
        "github.com/mjirik/bodynavigation",
    ),
)

# LiTS (volume-7 with segmentation-7, in batches) and BTCV (img0001 with label0001). Many others number their
# files so: what values mean is not declared.
_LITS_SET = r"(?P<set>test[-_])?"
_LITS = Row(
    "lits",
    "volume-N with segmentation-N",
    (r"[/\n](?:test[-_])?(?:segmentation|label|mask|seg)[-_]?[0-9]+\.",),
    {"": (rf"(?P<name>{_LITS_SET}(?:volume|image|img)[-_]?(?P<number>[0-9]+))",)},
    {SEGMENTATION: (rf"{_LITS_SET}(?:segmentation|label|mask|seg)[-_]?(?P<number>[0-9]+)",)},
    id="{name}",
    sources=(
        "competitions.codalab.org/competitions/17094",
        "synapse.org/Synapse:syn3193805",
    ),
)

TABLE = (
    *(ISLES_22, ISLES_24, _KITS, _ABDOMEN_ATLAS, _HECKTOR, _AUTOPET, _LUNA16, PICAI, _CT_ORG),
    *(_TOTALSEGMENTATOR, BRATS, AMOS, CHAOS, _IRCADB, _LITS),
)
