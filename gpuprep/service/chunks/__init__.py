"""The files of cohorts, whole or in ranges."""
