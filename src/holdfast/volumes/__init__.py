"""Sparse byte spaces that are committed range by range (spec/datasets.md §8)."""
