"""Plain frozen values that every room speaks in: no I/O, no arrays of voxels but by reference."""
