"""Reading: from files on disk to voxels on a grid, with every doubt about them as a finding."""
