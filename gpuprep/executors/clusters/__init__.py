"""Dask clusters that a run starts or joins."""
