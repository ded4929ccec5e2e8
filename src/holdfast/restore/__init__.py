"""Getting files back."""

from holdfast.restore.report import RestoreReport
from holdfast.restore.restore import restore

__all__ = ["RestoreReport", "restore"]
