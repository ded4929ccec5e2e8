"""Shared by the tests of datasets and volumes."""

from __future__ import annotations

from collections import Counter

COUNTED = (
    *("put", "put_many", "get", "read_range", "size", "exists", "list", "children", "delete"),
    *("compare_and_swap", "swap_staged", "open_writer", "stage", "publish_many", "batch"),
)


class CountingStore:
    """A store that counts the calls on it, and notes the paths that were read."""

    def __init__(self, inner):
        self.inner = inner
        self.counts: Counter[str] = Counter()
        self.read: list[str] = []

    def __getattr__(self, name):
        value = getattr(self.inner, name)
        if name not in COUNTED:
            return value

        def call(*args, **kwargs):
            self.counts[name] += 1
            if name in ("get", "read_range"):
                self.read.append(args[0])
            return value(*args, **kwargs)

        return call

    def reset(self):
        self.counts.clear()
        self.read.clear()
