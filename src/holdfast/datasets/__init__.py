"""Tables and blobs as immutable snapshots (spec/datasets.md)."""
