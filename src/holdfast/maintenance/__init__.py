"""Looking after a repository: verify, fsck, gc, status."""

from holdfast.maintenance.fsck import fsck
from holdfast.maintenance.gc import gc
from holdfast.maintenance.report import FsckReport, Status, VerifyReport, finding_to_json
from holdfast.maintenance.status import status
from holdfast.maintenance.verify import check, verify

__all__ = [
    "FsckReport",
    "Status",
    "VerifyReport",
    "check",
    "finding_to_json",
    "fsck",
    "gc",
    "status",
    "verify",
]
