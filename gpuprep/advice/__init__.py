"""What a cohort's own facts advise: a config for it, and statistics for MONAI's Auto3DSeg."""
