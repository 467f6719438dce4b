"""nnU-Net's plans without nnU-Net: what it would prepare, by its own rules."""
