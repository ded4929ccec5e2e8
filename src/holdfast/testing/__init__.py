"""For tests of stores and of what is built on them; public, so that other projects can use it.

- `holdfast.testing.store_contract`: the suite that every store passes (needs pytest).
- `holdfast.testing.crash_model`: a file system in memory that can lose power at any moment.
- `holdfast.testing.faults`: system calls that fail on demand and are counted.
- `holdfast.testing.strategies`: paths and contents for hypothesis.
"""
