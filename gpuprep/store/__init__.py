"""What lies on disk: layout, shards, OME-Zarr metadata, commit, reading back, verifying."""
