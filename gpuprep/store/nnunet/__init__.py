"""A case as nnU-Net 2.8 keeps it: ``image.b2nd``, ``label.b2nd``, ``properties.pkl``."""
