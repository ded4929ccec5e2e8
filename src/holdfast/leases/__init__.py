"""Leases: who may change what (spec/ledger.md §11).

`FileLeases` are `flock` locks on files that are never removed. The system drops the lock of a
process that dies, so a dead holder never blocks. `LocalLeases` do the same inside one process.

The order in which leases are taken is fixed: runs, arrays, datasets and volumes by id, ledger
last. Nothing here enforces it.
"""

from holdfast.leases.files import FileLease, FileLeases, LockCalls, OsLockCalls
from holdfast.leases.local import LocalLease, LocalLeases
from holdfast.leases.protocol import Lease, Leases

__all__ = [
    "FileLease",
    "FileLeases",
    "Lease",
    "Leases",
    "LocalLease",
    "LocalLeases",
    "LockCalls",
    "OsLockCalls",
]
