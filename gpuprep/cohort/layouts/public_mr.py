"""The table's rows of MR and stroke data sets; ``public.py`` has the others, and the table."""

from __future__ import annotations

from gpuprep.cohort.layouts import classes
from gpuprep.cohort.layouts.row import ANY, SEGMENTATION, Row, classes_by

# dwi/, anat/ and derivatives/ with BIDS names; the masks lie on the DWI's grid.
_SUBJECT = r"(?P<case>sub-stroke(?:case)?[0-9]+)"
ISLES_22 = Row(
    "isles22",
    "sub-strokecaseN/ses-N/dwi and anat with derivatives/…_msk (ISLES'22)",
    (r"sub-strokecase[0-9]+[^/]*_dwi\.", r"_adc\."),
    {
        "DWI": (rf"{_SUBJECT}/ses-(?P<ses>[0-9]+)/(?:dwi/)?(?P=case)_{ANY}_dwi",),
        "ADC": (rf"{_SUBJECT}/ses-(?P<ses>[0-9]+)/(?:dwi/)?(?P=case)_{ANY}_adc",),
        "FLAIR": (rf"{_SUBJECT}/ses-(?P<ses>[0-9]+)/(?:anat/)?(?P=case)_{ANY}_FLAIR",),
    },
    {SEGMENTATION: (rf"derivatives/{_SUBJECT}/ses-(?P<ses>[0-9]+)/(?P=case)_{ANY}_msk",)},
    id="{case}",
    classes=classes_by(("", classes.LESION)),
    own=r"dataset_description\.json|participants\.(?:tsv|json)|README.*|sub-.*\.json",
    in_bids=True,
    sources=("zenodo.org/records/7960856", "github.com/rajpurkarlab/ReX-MLE"),
)

# What derivatives/ holds lies on the grid of the non-contrast CT.
_ON_NCCT = rf"derivatives/{_SUBJECT}/ses-0*1/(?:perfusion-maps/)?(?P=case)_{ANY}_space-ncct_"
ISLES_24 = Row(
    "isles24",
    "raw_data/sub-strokeN/ses-01/…_ncct with derivatives/…_lesion-msk (ISLES'24)",
    (r"sub-stroke[0-9]+[^/]*_ncct\.", r"lesion-msk\."),
    {
        "NCCT": (rf"raw_?data/{_SUBJECT}/ses-0*1/(?:ct/)?(?P=case)_{ANY}_ncct",),
        **{
            name: (rf"{_ON_NCCT}{word}",)
            for name, word in (
                *(("CTA", "cta"), ("Tmax", "tmax"), ("MTT", "mtt")),
                *(("CBF", "cbf"), ("CBV", "cbv")),
            )
        },
    },
    {
        SEGMENTATION: (rf"derivatives/{_SUBJECT}/ses-0*2/(?P=case)_{ANY}_lesion-msk",),
        "occlusion": (rf"{_ON_NCCT}lvo-msk",),
        "vessels": (rf"{_ON_NCCT}cow-msk",),
    },
    id="{case}",
    classes={SEGMENTATION: (("", classes.LESION),), "occlusion": (("", classes.OCCLUSION),)},
    aside=(
        (rf"raw_?data/.*{ANY}_ctp", "perfusion series; its maps are taken"),
        (rf"derivatives/.*{ANY}_ctp", "perfusion series; its maps are taken"),
        (r"raw_?data/.*", "not on the grid of the non-contrast CT; see derivatives"),
    ),
    own=r"dataset_description\.json|participants\.(?:tsv|json)|README.*|sub-.*\.(?:json|csv)",
    in_bids=True,
    sources=("zenodo.org/records/17652035", "github.com/The-Obstacle-Is-The-Way/bids-hub"),
)

# Images of five archives, and a clone of the annotations, whose earlier state had glands directly in AI/.
_EXAM = r"(?P<patient>[0-9]{5})_(?P<case>[0-9]{7})"
_LESIONS = "csPCa_lesion_delineations"
PICAI = Row(
    "picai",
    "10000/10000_1000000_t2w, _adc and _hbv with picai_labels/ (PI-CAI)",
    (r"/[0-9]{5}_[0-9]{7}_t2w\.",),
    {
        name: (rf"[0-9]{{5}}/{_EXAM}_{word}",)
        for name, word in (("T2W", "t2w"), ("ADC", "adc"), ("HBV", "hbv"))
    },
    {
        SEGMENTATION: (
            rf"{_LESIONS}/human_expert/resampled/{_EXAM}",
            rf"{_LESIONS}/human_expert/Pooch25/{_EXAM}",
        ),
        "gland": (
            rf"anatomical_delineations/whole_gland/AI/Bosma22b/{_EXAM}",
            rf"anatomical_delineations/whole_gland/AI/Guerbet23/{_EXAM}",
            rf"anatomical_delineations/whole_gland/AI/{_EXAM}",
        ),
    },
    id="{patient}_{case}",
    classes={SEGMENTATION: (("", classes.PICAI),), "gland": (("", classes.WHOLE_GLAND),)},
    attributes={"subject": ((r"([0-9]{5})/[^/]+$", r"\1"),)},
    aside=(
        (rf"[0-9]{{5}}/{_EXAM}_(?:sag|cor)", "T2 in another plane than the axial one"),
        (rf"{_LESIONS}/human_expert/original/.*", "on the annotator's grid; resampled is taken"),
        (rf"{_LESIONS}/AI/.*", "made by a model; only annotations by people are taken"),
        (r"anatomical_delineations/.*", "another delineation of the anatomy"),
    ),
    own=r"marksheet\.csv",
    sources=("zenodo.org/records/6624726", "github.com/DIAGNijmegen/picai_labels"),
)

# Masks of men-rt are gross tumour volumes. GoAT has no time point. Children were numbered as adults in 2023,
# and otherwise since: which it is their names do not say, only folders do.
_BRATS_CASE = r"(?P<case>BraTS-[A-Za-z]+-[0-9]{5}(?:-[0-9]{3})?)"
_BRATS_FOLDER = r"(?:BraTS-[A-Za-z]+-(?:RT-)?[0-9-]+/)?"
_MEN_RT = r"(?P<case>BraTS-MEN-RT-[0-9]{4}-[0-9])"
BRATS = Row(
    "brats",
    "BraTS-GLI-00000-000/…-t1n, -t1c, -t2w, -t2f with -seg (BraTS 2023 and later)",
    (r"brats-[a-z]+-(?:rt-)?[0-9]+(?:-[0-9]+)?[-_]t1c\.",),
    {
        "T1": (rf"{_BRATS_FOLDER}{_BRATS_CASE}-t1n",),
        "T1c": (rf"{_BRATS_FOLDER}{_BRATS_CASE}-t1c", rf"{_BRATS_FOLDER}{_MEN_RT}_t1c"),
        "T2": (rf"{_BRATS_FOLDER}{_BRATS_CASE}-t2w",),
        "FLAIR": (rf"{_BRATS_FOLDER}{_BRATS_CASE}-t2f",),
    },
    {SEGMENTATION: (rf"{_BRATS_FOLDER}{_BRATS_CASE}-seg", rf"{_BRATS_FOLDER}{_MEN_RT}_gtv")},
    id="{case}",
    classes=classes_by(
        (r"BraTS-MEN-RT-", classes.BRATS_GTV),
        (r"BraTS-(?:GLI|MET)-", classes.BRATS_POST_TREATMENT),
        (r"BraTS-(?:MEN|SSA|GoAT)-", classes.BRATS),
        (r"(?i)BraTS[^/]*23[^/]*/.*BraTS-PED-", classes.BRATS_PEDIATRIC_2023),
        (r"(?i)(?:BraTS[^/]*2[4-9]|BraTS-PEDs-v1)[^/]*/.*BraTS-PED-", classes.BRATS_PEDIATRIC),
    ),
    attributes={"task": ((r"BraTS-([A-Za-z]+(?:-RT)?)-[0-9]+[^/]*$", r"\1"),)},
    sources=(
        "synapse.org/Synapse:syn51156910",
        "synapse.org/Synapse:syn53708249",
        "github.com/MIC-DKFZ/nnUNet (Dataset226)",
        "huggingface.co/datasets/MedOtter/brats2023-ped-dataset",
        "cancerimagingarchive.net/collection/brats-peds",
    ),
)

# Without its dataset.json, which makes it an MSD data set; images above 500 are MR.
_AMOS_CASE = r"(?P<case>amos_[0-9]{4})"
AMOS = Row(
    "amos",
    "imagesTr/amos_0001 with labelsTr/amos_0001 (AMOS; with a dataset.json it is msd)",
    (r"images(?:tr|va|ts)/amos_[0-9]{4}\.",),
    {"": (rf"images(?:Tr|Va|Ts)/{_AMOS_CASE}",)},
    {SEGMENTATION: (rf"labels(?:Tr|Va|Ts)/{_AMOS_CASE}",)},
    id="{case}",
    classes=classes_by(("", classes.AMOS)),
    attributes={
        "split": ((r"imagesTr/", "train"), (r"imagesVa/", "validation"), (r"imagesTs/", "test")),
        "modality": ((r"amos_0(?:[0-4][0-9]{2}|500)$", "CT"), (r"amos_", "MR")),
    },
    own=r"labeled_data_meta.*\.csv",
    sources=("zenodo.org/records/7262581", "github.com/MIC-DKFZ/nnUNet (Dataset218, Dataset219)"),
)

# DICOM images, and a PNG for each slice that is called in the slices' order. All images have one channel: T1
# in and out of phase share a label (as in nnU-Net's Dataset047).
_CHAOS_SET = r"(?P<modality>CT|MR)/(?P<case>[0-9]+)"
CHAOS = Row(
    "chaos",
    "CT/1/DICOM_anon or MR/1/T2SPIR/DICOM_anon with Ground (CHAOS)",
    (r"(?:ct|mr)/[0-9]+/(?:t1dual/|t2spir/)?dicom_anon/",),
    {
        "": (
            rf"{_CHAOS_SET}/DICOM_anon",
            rf"{_CHAOS_SET}/(?P<sequence>T1DUAL)/DICOM_anon/(?P<variant>InPhase|OutPhase)",
            rf"{_CHAOS_SET}/(?P<sequence>T2SPIR)/DICOM_anon",
        )
    },
    {SEGMENTATION: (rf"{_CHAOS_SET}/(?P<sequence>T1DUAL|T2SPIR)/Ground",)},
    (rf"{_CHAOS_SET}/Ground",),
    structure="liver",  # of CT
    id="{modality}/{case}/{sequence}/{variant}",
    classes=classes_by(("", classes.CHAOS_MR)),
    attributes={
        "modality": ((r"(CT|MR)/[0-9]+/", r"\1"),),
        "subject": ((r"(?:CT|MR)/([0-9]+)/", r"\1"),),
        "split": ((r"Train_Sets/", "train"), (r"Test_Sets/", "test")),
    },
    series=True,
    alone=True,
    sources=(
        "chaos.grand-challenge.org/Data",
        "zenodo.org/records/3431873",
        "github.com/MIC-DKFZ/nnUNet (Dataset047)",
    ),
)
