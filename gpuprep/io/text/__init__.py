"""Volumes with a text header: MetaImage and NRRD."""
