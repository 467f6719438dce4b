"""Headers of one PET slice with all that SUV takes, and the factor of some."""

from __future__ import annotations

from pydicom.dataset import Dataset

from gpuprep.io.dicom.pet import pet_of
from gpuprep.io.dicom.uptake import factor_of


def header(**changes: object) -> Dataset:
    tracer = Dataset()
    tracer.RadionuclideTotalDose = 400e6
    tracer.RadionuclideHalfLife = 6000.0
    tracer.RadiopharmaceuticalStartDateTime = "20250101100000"
    fields = {
        "Modality": "PT", "Units": "BQML", "DecayCorrection": "START", "Manufacturer": "Other",
        "CorrectedImage": ["DECY", "ATTN", "SCAT"], "PatientWeight": 80, "PatientSize": 1.75,
        "PatientSex": "M", "SeriesDate": "20250101", "SeriesTime": "114000", "AcquisitionDate": "20250101",
        "AcquisitionTime": "114000", "RadiopharmaceuticalInformationSequence": [tracer],
    }  # fmt: skip
    found = Dataset()
    for name, value in (fields | changes).items():
        place = tracer if name.startswith("Radio") and "Sequence" not in name else found
        setattr(place, name, value)
    return found


def factor(*headers: Dataset, kind: str = "bodyweight") -> float:
    return factor_of([pet_of(each) for each in headers], kind)[0].factor
