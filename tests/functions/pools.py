"""Shared by the tests of pools."""

from __future__ import annotations

import os
import shutil

from functions.fixtures import OUVERTURE
from holdfast.functions import FunctionPool
from holdfast.records import Severity
from holdfast.store.filesystem import FileSystemStore
from holdfast.store.memory import MemoryStore
from runs_support import Commits, Ticks

ENGLISH = '''def average(numbers):
    """The mean of numbers."""
    total = sum(numbers)
    return total / len(numbers)
'''
FRENCH = '''def moyenne(nombres):
    """La moyenne des nombres."""
    somme = sum(nombres)
    return somme / len(nombres)
'''
SPANISH = '''def promedio(numeros):
    """El promedio de los numeros."""
    suma = sum(numeros)
    return suma / len(numeros)
'''


class Ledger(Commits):
    """A sink that shows its commits, as the ledger does."""

    def commits(self, *, model=None, name=None, before=None, limit=None):
        for logseq in range(len(self.records), 0, -1):
            if self.records[logseq - 1].model == model:
                yield logseq, self.records[logseq - 1]


def memory_pool(prefix="functions", **options):
    return FunctionPool(MemoryStore(), prefix, clock=Ticks(), author="ada", **options)


def file_pool(folder, prefix="", **options):
    return FunctionPool(FileSystemStore(folder), prefix, clock=Ticks(), author="ada", **options)


def fixture_pool(name, folder):
    """A pool of the original, copied so that it can be written to."""
    target = folder / name
    shutil.copytree(OUVERTURE / name, target)
    for parent, _, files in os.walk(target):
        os.chmod(parent, 0o755)
        for file in files:
            os.chmod(os.path.join(parent, file), 0o644)
    return FunctionPool(FileSystemStore(target), "", clock=Ticks(), author="ada")


def tree(store):
    return {entry.path: store.get(entry.path) for entry in store.list()}


def caller_of(hash, name="helper", own="caller"):
    return (
        f"from holdfast.pool import object_{hash} as {name}\n\n\n"
        f"def {own}(value):\n    return {name}([value, value + 1])\n"
    )


def errors(findings):
    """(code, path) of the findings of lost or wrong bytes."""
    return [(f.code, f.path) for f in findings if getattr(f, "severity", None) is Severity.ERROR]
