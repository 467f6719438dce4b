"""nibabel without pydicom, which it loads for an extension of NIfTI headers that is not read here.

It would cost every reading process a third of a second. pydicom is loaded when a DICOM file comes.
"""

from __future__ import annotations

import sys

if "pydicom" not in sys.modules:
    sys.modules["pydicom"] = None  # type: ignore[assignment]
    try:
        import nibabel.nifti1  # noqa: F401
    finally:
        del sys.modules["pydicom"]
