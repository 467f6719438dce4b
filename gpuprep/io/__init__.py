"""Reading scans: formats, DICOM audit, integrity, and the child process that does it."""
