"""Taking folders and files in."""

from holdfast.ingest.ingest import ingest
from holdfast.ingest.report import IngestReport, Named, Progress, Progressed, SourceReport

__all__ = ["IngestReport", "Named", "Progress", "Progressed", "SourceReport", "ingest"]
