"""Which repository a command means: ``-R``, then ``HOLDFAST_REPO``, then the nearest parent."""

from __future__ import annotations

import os

from holdfast.errors import NotFound

MARK = "holdfast.json"
FOLDER = ".holdfast"


def is_url(text: str) -> bool:
    """Whether `text` names a repository on an object store rather than a folder."""
    return "://" in text and not text.startswith("file://")


def find_repository(named: str | None, *, start: str | None = None) -> str:
    """The folder or URL of the repository to use.

    Args:
        named: what ``-R`` or ``HOLDFAST_REPO`` says. A folder that itself holds ``.holdfast``
            stands for that repository.
        start: where the search upwards begins; the working folder by default.

    Raises:
        NotFound: nothing named, and no parent holds ``holdfast.json`` or
            ``.holdfast/holdfast.json``.
    """
    if named:
        if is_url(named):
            return named
        return _below(named) or named
    start = start or os.getcwd()
    folder = start
    while True:
        found = _below(folder)
        if found is not None:
            return found
        parent = os.path.dirname(folder)
        if parent == folder:
            break
        folder = parent
    raise NotFound(
        "looking for a repository in",
        start,
        found="neither it nor a folder above it is one",
        hint="make one with `holdfast init`, or name one with -R or HOLDFAST_REPO",
    )


def _below(folder: str) -> str | None:
    if os.path.isfile(os.path.join(folder, MARK)):
        return folder
    inner = os.path.join(folder, FOLDER)
    if os.path.isfile(os.path.join(inner, MARK)):
        return inner
    return None
