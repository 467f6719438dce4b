"""What a cohort looks like in numbers: measures, distributions, outliers with their reasons, the report."""
