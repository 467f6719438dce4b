"""Cohorts in object stores: claims, shards and uploads."""
