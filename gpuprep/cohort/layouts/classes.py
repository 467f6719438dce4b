"""What the values of public label maps mean, as their data sets publish it.

Each comes with its source. Of one-file-per-structure data sets (TotalSegmentator, 3D-IRCADb) the files' own
names are the classes. LUNA16 publishes no names for its lung masks.
"""

from __future__ import annotations

from gpuprep.values.agreement import Classes


def _numbered(*names: str) -> Classes:
    return Classes(dict(enumerate(names, start=1)))


# github.com/neheller/kits19, kits21, kits23 (README: 1 kidney, 2 tumor, 3 cyst; kits19 has no third)
KITS = _numbered("kidney", "tumor", "cyst")

# huggingface.co/datasets/AbdomenAtlas/_AbdomenAtlas1.1Mini (class map); the first nine are those of 1.0
ABDOMEN_ATLAS = _numbered(
    *("aorta", "gall_bladder", "kidney_left", "kidney_right", "liver", "pancreas", "postcava"),
    *("spleen", "stomach", "adrenal_gland_left", "adrenal_gland_right", "bladder"),
    *("celiac_trunk", "colon", "duodenum", "esophagus", "femur_left", "femur_right"),
    *("hepatic_vessel", "intestine", "lung_left", "lung_right", "portal_vein_and_splenic_vein"),
    *("prostate", "rectum"),
)

# hecktor.grand-challenge.org (2022, 2025): primary tumour and lymph nodes; 2020 and 2021 have the first alone
HECKTOR = _numbered("GTVp", "GTVn")

# autopet.grand-challenge.org and TCIA FDG-PET-CT-Lesions: a binary mask
AUTOPET = _numbered("tumor")

# github.com/DIAGNijmegen/picai_labels (README, "Label Mapping")
PICAI = _numbered("ISUP>=2 by AI", "ISUP 2", "ISUP 3", "ISUP 4", "ISUP 5")
WHOLE_GLAND = _numbered("prostate")

# zenodo.org/records/7960856 (ISLES'22) and 17652035 (ISLES'24): binary masks
LESION = _numbered("lesion")
OCCLUSION = _numbered("occlusion")

# CT-ORG (cancerimagingarchive.net/collection/ct-org, README of the data)
CT_ORG = _numbered("liver", "bladder", "lungs", "kidneys", "bone", "brain")

# chaos.grand-challenge.org/Data, of MR; nnU-Net's Dataset047
CHAOS_MR = Classes({63: "liver", 126: "right kidney", 189: "left kidney", 252: "spleen"})

# amos22.grand-challenge.org, zenodo.org/records/7262581
AMOS = _numbered(
    *("spleen", "right kidney", "left kidney", "gall bladder", "esophagus", "liver", "stomach"),
    *("aorta", "postcava", "pancreas", "right adrenal gland", "left adrenal gland", "duodenum"),
    *("bladder", "prostate/uterus"),
)

# synapse.org/Synapse:syn53708249 (BraTS 2024), nnU-Net's Dataset226; 2023 calls the first two NCR and ED.
# Metastases have the resection cavity since 2025.
BRATS_POST_TREATMENT = _numbered("NETC", "SNFH", "ET", "RC")
BRATS = _numbered("NETC", "SNFH", "ET")
# Children in 2023 (huggingface.co/datasets/MedOtter/brats2023-ped-dataset, arXiv 2305.17033) and since 2024
# (arXiv 2404.15009, github.com/BrainLesion/petu)
BRATS_PEDIATRIC_2023 = _numbered("NC", "ED", "ET")
BRATS_PEDIATRIC = _numbered("ET", "NET", "CC", "ED")
BRATS_GTV = _numbered("GTV")
