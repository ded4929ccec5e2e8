"""Doors to the tools of others: Zarr and Xarray."""
