"""Labels that were drawn: DICOM segmentations and contours, on the grid of the image they belong to."""
