"""The table of public data sets: how each lies on disk once its archives are unpacked.

A row names the trees that its data set is published as; a comment cites where that is seen.
"""

from __future__ import annotations

from gpuprep.cohort.layouts import classes
from gpuprep.cohort.layouts.row import Row
from gpuprep.values.agreement import Classes

_SEG = "segmentation"
_ANY = r"[^/]+"


def _all(*rules: tuple[str, Classes]) -> dict[str, tuple[tuple[str, Classes], ...]]:
    return {_SEG: rules}


# zenodo.org/records/7960856: dwi/, anat/ and derivatives/ with BIDS names; the masks lie on the DWI's grid.
_SUBJECT = r"(?P<case>sub-stroke(?:case)?[0-9]+)"
_ISLES_22 = Row(
    "isles22",
    "sub-strokecaseN/ses-N/dwi and anat with derivatives/…_msk (ISLES'22)",
    (r"sub-strokecase[0-9]+[^/]*_dwi\.", r"_adc\."),
    {
        "DWI": (rf"{_SUBJECT}/ses-(?P<ses>[0-9]+)/(?:dwi/)?(?P=case)_{_ANY}_dwi",),
        "ADC": (rf"{_SUBJECT}/ses-(?P<ses>[0-9]+)/(?:dwi/)?(?P=case)_{_ANY}_adc",),
        "FLAIR": (rf"{_SUBJECT}/ses-(?P<ses>[0-9]+)/(?:anat/)?(?P=case)_{_ANY}_FLAIR",),
    },
    {_SEG: (rf"derivatives/{_SUBJECT}/ses-(?P<ses>[0-9]+)/(?P=case)_{_ANY}_msk",)},
    id="{case}",
    classes=_all(("", classes.LESION)),
    own=r"dataset_description\.json|participants\.(?:tsv|json)|README.*|sub-.*\.json",
    in_bids=True,
)

# zenodo.org/records/17652035: what derivatives/ holds lies on the grid of the non-contrast CT.
_ON_NCCT = rf"derivatives/{_SUBJECT}/ses-0*1/(?:perfusion-maps/)?(?P=case)_{_ANY}_space-ncct_"
_ISLES_24 = Row(
    "isles24",
    "raw_data/sub-strokeN/ses-01/…_ncct with derivatives/…_lesion-msk (ISLES'24)",
    (r"sub-stroke[0-9]+[^/]*_ncct\.", r"lesion-msk\."),
    {
        "NCCT": (rf"raw_?data/{_SUBJECT}/ses-0*1/(?:ct/)?(?P=case)_{_ANY}_ncct",),
        **{
            name: (rf"{_ON_NCCT}{word}",)
            for name, word in (
                *(("CTA", "cta"), ("Tmax", "tmax"), ("MTT", "mtt")),
                *(("CBF", "cbf"), ("CBV", "cbv")),
            )
        },
    },
    {
        _SEG: (rf"derivatives/{_SUBJECT}/ses-0*2/(?P=case)_{_ANY}_lesion-msk",),
        "occlusion": (rf"{_ON_NCCT}lvo-msk",),
        "vessels": (rf"{_ON_NCCT}cow-msk",),
    },
    id="{case}",
    classes={_SEG: (("", classes.LESION),), "occlusion": (("", classes.OCCLUSION),)},
    aside=(
        (rf"raw_?data/.*{_ANY}_ctp", "perfusion series; its maps are taken"),
        (rf"derivatives/.*{_ANY}_ctp", "perfusion series; its maps are taken"),
        (r"raw_?data/.*", "not on the grid of the non-contrast CT; see derivatives"),
    ),
    own=r"dataset_description\.json|participants\.(?:tsv|json)|README.*|sub-.*\.(?:json|csv)",
    in_bids=True,
)

# github.com/neheller/kits23 (dataset/), kits21 (data/, aggregates of several annotators), kits19 (data/)
_KITS_CASE = r"(?P<case>case_[0-9]{5})"
_KITS = Row(
    "kits",
    "case_00000/imaging with segmentation or aggregated_MAJ_seg (KiTS19, 21, 23)",
    (r"case_[0-9]{5}/imaging\.",),
    {"": (rf"{_KITS_CASE}/imaging",)},
    {
        _SEG: tuple(
            rf"{_KITS_CASE}/{name}"
            for name in (
                *("segmentation", "aggregated_MAJ_seg", "aggregated_AND_seg"),
                *("aggregated_OR_seg", "aggregated_seg"),
            )
        ),
    },
    classes=_all(("", classes.KITS)),
    id="{case}",
    aside=(
        (rf"{_KITS_CASE}/(?:instances|segmentations)/.*", "one annotator's mask of one instance"),
    ),
    own=r"kits(?:19|21|23)?\.json|segmentation_samples.*\.json",
)

# huggingface.co/datasets/AbdomenAtlas (1.0 and 1.1 Mini: BDMAP_…/; 3.0 Mini: image_only/ and mask_only/)
_BDMAP = r"(?P<case>BDMAP_[A-Z]?[0-9]+)"
_ABDOMEN_ATLAS = Row(
    "abdomenatlas",
    "BDMAP_00000001/ct with combined_labels, or image_only/ and mask_only/ (AbdomenAtlas)",
    (r"bdmap_[a-z]?[0-9]+/ct\.",),
    {"CT": (rf"image_only/{_BDMAP}/ct", rf"{_BDMAP}/ct")},
    {_SEG: (rf"(?:mask_only/)?{_BDMAP}/combined_labels",)},
    (rf"(?:mask_only/)?{_BDMAP}/segmentations/(?P<structure>{_ANY})",),
    id="{case}",
    classes=_all(("", classes.ABDOMEN_ATLAS)),
)

# hecktor.grand-challenge.org: 2022 imagesTr/ and labelsTr/, 2025 a folder per patient; github.com/voreille/
# hecktor for 2020 (…_ct_gtvt) and 2021 (…_gtvt)
_PATIENT = r"(?P<case>(?:CH[A-Z]{2}|CHB|MDA|USZ|HMR|HGJ)-?[0-9]+)"
_OWN_FOLDER = r"(?:[A-Z]{3,4}-?[0-9]+/)?"
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
        _SEG: (
            rf"labels(?:Tr|Ts)/{_PATIENT}",
            rf"{_OWN_FOLDER}{_PATIENT}(?:_ct)?_gtvt",
            rf"{_OWN_FOLDER}{_PATIENT}",
        ),
    },
    id="{case}",
    classes=_all(("", classes.HECKTOR)),
    attributes={
        "split": ((r"imagesTs/", "test"), (r"imagesTr/", "train")),
        "center": ((r"([A-Z]{3,4})-?[0-9]+_+CT", r"\1"),),
    },
)

# TCIA FDG-PET-CT-Lesions as NIfTI (autoPET I, II); autoPET III and IV are nnU-Net folders.
_STUDY = rf"(?P<case>PETCT_[0-9a-f]+)/(?P<study>{_ANY})"
_AUTOPET = Row(
    "autopet",
    "PETCT_0011f3deaf/STUDY/CTres and SUV with SEG (autoPET I and II)",
    (r"petct_[0-9a-f]+/[^/]+/suv\.", r"/ctres\."),
    {"CT": (rf"{_STUDY}/CTres",), "SUV": (rf"{_STUDY}/SUV",)},
    {_SEG: (rf"{_STUDY}/SEG",)},
    id="{case}/{study}",
    classes=_all(("", classes.AUTOPET)),
    attributes={"subject": ((r"(PETCT_[0-9a-f]+)/", r"\1"),)},
    aside=(
        (rf"{_STUDY}/CT", "CT on its own grid; CTres is the one on the PET's"),
        (rf"{_STUDY}/PET", "PET in counts; SUV is taken"),
    ),
)

# luna16.grand-challenge.org/Data: subset0 … subset9 and a folder of lung masks, all named by series UID
_UID = r"(?P<case>[0-9]+(?:\.[0-9]+){3,})"
_LUNA16 = Row(
    "luna16",
    "subset0/UID.mhd with seg-lungs-LUNA16/UID.mhd (LUNA16)",
    (r"subset[0-9]/[0-9.]+\.mhd",),
    {"CT": (rf"subset[0-9]/{_UID}",)},
    {_SEG: (rf"seg-lungs-LUNA16/{_UID}",)},
    id="{case}",
    attributes={"subset": ((r"subset([0-9])/", r"\1"),)},
    own=r"(?:annotations(?:_excluded)?|candidates(?:_V2)?|additional_annotations|sampleSubmission)\.csv",
)

# zenodo.org/records/6624726 (images) and github.com/DIAGNijmegen/picai_labels (annotations)
_EXAM = r"(?P<patient>[0-9]{5})_(?P<case>[0-9]{7})"
_LESIONS = "csPCa_lesion_delineations"
_PICAI = Row(
    "picai",
    "10000/10000_1000000_t2w, _adc and _hbv with picai_labels/ (PI-CAI)",
    (r"/[0-9]{5}_[0-9]{7}_t2w\.",),
    {
        name: (rf"[0-9]{{5}}/{_EXAM}_{word}",)
        for name, word in (("T2W", "t2w"), ("ADC", "adc"), ("HBV", "hbv"))
    },
    {
        _SEG: (
            rf"{_LESIONS}/human_expert/resampled/{_EXAM}",
            rf"{_LESIONS}/human_expert/Pooch25/{_EXAM}",
        ),
        "gland": (
            rf"anatomical_delineations/whole_gland/AI/Bosma22b/{_EXAM}",
            rf"anatomical_delineations/whole_gland/AI/Guerbet23/{_EXAM}",
        ),
    },
    id="{patient}_{case}",
    classes={_SEG: (("", classes.PICAI),), "gland": (("", classes.WHOLE_GLAND),)},
    attributes={"subject": ((r"([0-9]{5})/[^/]+$", r"\1"),)},
    aside=(
        (rf"[0-9]{{5}}/{_EXAM}_(?:sag|cor)", "T2 in another plane than the axial one"),
        (rf"{_LESIONS}/human_expert/original/.*", "on the annotator's grid; resampled is taken"),
        (rf"{_LESIONS}/AI/.*", "made by a model; only annotations by people are taken"),
        (r"anatomical_delineations/.*", "another delineation of the anatomy"),
    ),
    own=r"marksheet\.csv",
)

# cancerimagingarchive.net/collection/ct-org: OrganSegmentations/
_CT_ORG = Row(
    "ct-org",
    "volume-0 with labels-0 (CT-ORG)",
    (r"/?volume-[0-9]+\.", r"labels-[0-9]+\."),
    {"CT": (r"volume-(?P<number>[0-9]+)",)},
    {_SEG: (r"labels-(?P<number>[0-9]+)",)},
    id="volume-{number}",
    classes=_all(("", classes.CT_ORG)),
)

# zenodo.org/records/10047292 (TotalSegmentator v2), 14710732 (MRI): s0000/ct or mri, meta.csv
_SUBJECT_TS = r"(?P<case>s[0-9]{4})"
_TOTALSEGMENTATOR = Row(
    "totalsegmentator",
    "s0000/ct or mri with segmentations/STRUCTURE (TotalSegmentator)",
    (r"s[0-9]{4}/(?:ct|mri)\.", r"s[0-9]{4}/segmentations/"),
    {"": (rf"{_SUBJECT_TS}/(?:ct|mri)",)},
    structures=(rf"{_SUBJECT_TS}/segmentations/(?P<structure>{_ANY})",),
    id="{case}",
    table=("meta.csv", "image_id"),
)

# synapse.org/Synapse:syn51156910 (2023), syn53708249 (2024); masks of men-rt are gross tumour volumes
_BRATS_CASE = r"(?P<case>BraTS-[A-Za-z]+-[0-9]{5}-[0-9]{3})"
_BRATS_FOLDER = r"(?:BraTS-[^/]+/)?"
_MEN_RT = r"(?P<case>BraTS-MEN-RT-[0-9]{4}-[0-9])"
_BRATS = Row(
    "brats",
    "BraTS-GLI-00000-000/…-t1n, -t1c, -t2w, -t2f with -seg (BraTS 2023 and later)",
    (r"brats-[a-z]+-(?:rt-)?[0-9]+-[0-9]+[-_]t1c\.",),
    {
        "T1": (rf"{_BRATS_FOLDER}{_BRATS_CASE}-t1n",),
        "T1c": (rf"{_BRATS_FOLDER}{_BRATS_CASE}-t1c", rf"{_BRATS_FOLDER}{_MEN_RT}_t1c"),
        "T2": (rf"{_BRATS_FOLDER}{_BRATS_CASE}-t2w",),
        "FLAIR": (rf"{_BRATS_FOLDER}{_BRATS_CASE}-t2f",),
    },
    {_SEG: (rf"{_BRATS_FOLDER}{_BRATS_CASE}-seg", rf"{_BRATS_FOLDER}{_MEN_RT}_gtv")},
    id="{case}",
    classes=_all(
        (r"BraTS-MEN-RT-", classes.BRATS_GTV),
        (r"BraTS-GLI-", classes.BRATS_POST_TREATMENT),
        (r"BraTS-(?:MEN|MET|SSA)-", classes.BRATS),
        (r"BraTS-PED-", classes.BRATS_PEDIATRIC),
    ),
    attributes={"task": ((r"BraTS-([A-Za-z]+(?:-RT)?)-[0-9]", r"\1"),)},
)

# zenodo.org/records/7262581 without its dataset.json; images above 500 are MR
_AMOS_CASE = r"(?P<case>amos_[0-9]{4})"
_AMOS = Row(
    "amos",
    "imagesTr/amos_0001 with labelsTr/amos_0001 (AMOS; with a dataset.json it is msd)",
    (r"images(?:tr|va|ts)/amos_[0-9]{4}\.",),
    {"": (rf"images(?:Tr|Va|Ts)/{_AMOS_CASE}",)},
    {_SEG: (rf"labels(?:Tr|Va|Ts)/{_AMOS_CASE}",)},
    id="{case}",
    classes=_all(("", classes.AMOS)),
    attributes={
        "split": ((r"imagesTr/", "train"), (r"imagesVa/", "validation"), (r"imagesTs/", "test")),
        "modality": ((r"amos_0(?:[0-4][0-9]{2}|500)$", "CT"), (r"amos_", "MR")),
    },
    own=r"labeled_data_meta.*\.csv",
)

# LiTS (codalab 17094: volume-7 with segmentation-7, in batches) and BTCV (synapse syn3193805: img0001 with
# label0001). Many others number their files so: what values mean is not declared.
_LITS_SET = r"(?P<set>test[-_])?"
_LITS = Row(
    "lits",
    "volume-N with segmentation-N",
    (r"[/\n](?:test[-_])?(?:segmentation|label|mask|seg)[-_]?[0-9]+\.",),
    {"": (rf"{_LITS_SET}(?:volume|image|img)[-_]?(?P<number>[0-9]+)",)},
    {_SEG: (rf"{_LITS_SET}(?:segmentation|label|mask|seg)[-_]?(?P<number>[0-9]+)",)},
)

TABLE = (
    *(_ISLES_22, _ISLES_24, _KITS, _ABDOMEN_ATLAS, _HECKTOR, _AUTOPET, _LUNA16, _PICAI, _CT_ORG),
    *(_TOTALSEGMENTATOR, _BRATS, _AMOS, _LITS),
)
