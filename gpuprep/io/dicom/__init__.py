"""DICOM series: which files belong together, their grid, their pixels."""
