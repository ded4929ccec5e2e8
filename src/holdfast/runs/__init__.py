"""Runs: which action took which files in, and every version of every path (spec/runs.md)."""

from holdfast.runs.model import (
    Artifact,
    FileEntry,
    FileVersion,
    Kind,
    Outcome,
    Prediction,
    Project,
    Registered,
    RunDiff,
    RunInfo,
    Source,
    Status,
    WalkedRoots,
)
from holdfast.runs.runs import ArtifactManager, Runs
from holdfast.runs.writer import RunWriter

__all__ = [
    "Artifact",
    "ArtifactManager",
    "FileEntry",
    "FileVersion",
    "Kind",
    "Outcome",
    "Prediction",
    "Project",
    "Registered",
    "RunDiff",
    "RunInfo",
    "RunWriter",
    "Runs",
    "Source",
    "Status",
    "WalkedRoots",
]
