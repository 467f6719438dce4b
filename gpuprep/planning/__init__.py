"""The cohort's fingerprint and what follows from it."""
