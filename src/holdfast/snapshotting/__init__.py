"""Immutable snapshots in one line: what datasets and volumes share."""
