"""Flip every byte of every file of a small repository, one at a time, and ask verify."""

import os
import shutil

import holdfast
from holdfast.errors import HoldfastError
from holdfast.repository import is_rebuildable


def everything(root) -> list[str]:
    """Every file that is no rebuildable cache, relative to `root`, sorted."""
    found = []
    for folder, _, names in os.walk(root):
        for name in names:
            path = os.path.relpath(os.path.join(folder, name), root)
            if not is_rebuildable(path):
                found.append(path)
    return sorted(found)


def findings(root) -> list[tuple[str, str]]:
    """What opening and checking says: (path or target, message) of each finding or error."""
    try:
        with holdfast.open(root, read_only=True) as repo:
            return [(f.path, f.message) for f in repo.verify().findings]
    except HoldfastError as error:
        return [(error.target or "", str(error))]


def sweep(root, scratch, part: int, parts: int) -> tuple[int, list[tuple[str, int, str]]]:
    """Flip each byte whose number is `part` modulo `parts`, in a copy of the repository.

    Returns:
        (bytes flipped, those that no finding named: path, offset, what was said).
    """
    copy = os.path.join(scratch, f"copy{part}")
    shutil.copytree(root, copy)
    number, flipped, missed = 0, 0, []
    for path in everything(copy):
        full = os.path.join(copy, path)
        os.chmod(full, 0o644)
        with open(full, "r+b", buffering=0) as file:
            whole = file.read()
            for at, byte in enumerate(whole):
                number += 1
                if number % parts != part:
                    continue
                os.pwrite(file.fileno(), bytes([byte ^ (1 << at % 8)]), at)
                found = findings(copy)
                if not any(path in named or path in message for named, message in found):
                    missed.append((path, at, repr(found)))
                os.pwrite(file.fileno(), bytes([byte]), at)
                flipped += 1
    if findings(copy):
        missed.append(("", 0, "the copy is not as it was"))
    return flipped, missed
