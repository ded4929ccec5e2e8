"""Every system call of adding and migrating fails once, with each errno."""

from __future__ import annotations

import errno

import pytest

from functions.pools import ENGLISH, FRENCH, SPANISH, errors
from functions.test_crash import LONG, MANY, OLD, add_all, as_the_original, open_pool
from functions.test_migrate import v0_file
from holdfast.errors import HoldfastError, NoSpace, StorageFailure
from holdfast.functions.layout import Schema
from holdfast.testing.crash_model import CrashCalls
from holdfast.testing.faults import Fault, FaultyCalls

NUMBERS = [errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EMFILE]


def total_of(prepare, script):
    faulty = FaultyCalls(prepare())
    script(open_pool(faulty))
    return faulty.total


@pytest.mark.parametrize("number", NUMBERS, ids=errno.errorcode.get)
def test_a_failing_call_of_an_addition_loses_nothing(number):
    total = total_of(CrashCalls, lambda pool: add_all(pool, [].append))
    failed, kinds = 0, set()
    for nth in range(1 + NUMBERS.index(number) % 7, total + 1, 7):
        disk = CrashCalls()
        faulty = FaultyCalls(disk, Fault(number, nth=nth))
        sure = []
        try:
            add_all(open_pool(faulty), sure.append)
        except HoldfastError as error:
            failed += 1
            kinds.add(type(error))
        faulty.fail()
        after = open_pool(disk)
        for what, source, _ in sure:
            assert after.show(what).text == source, nth
        assert errors(after.verify()) == [], (nth, faulty.log[nth - 2 : nth + 1])
        facts = []
        add_all(after, facts.append)
        assert len(facts) == len(MANY) + 3
        assert after.validate().ok, nth
    assert failed > total // 28
    assert kinds <= {StorageFailure, NoSpace}


@pytest.mark.parametrize("number", NUMBERS, ids=errno.errorcode.get)
@pytest.mark.parametrize("original", [False, True], ids=["v0", "original"])
def test_a_failing_call_of_a_migration_keeps_what_is_not_in_v1(number, original):
    sources = {}

    def prepare():
        disk = CrashCalls()
        pool = open_pool(disk)
        for languages in OLD:
            path, data, hash = v0_file(languages)
            pool.store.put(f"functions/{path}", data)
            sources.update({f"{hash}@{name}": text for name, text in languages.items()})
        if original:
            as_the_original(pool)
        return disk

    total = total_of(prepare, lambda pool: pool.migrate())
    failed = 0
    for nth in range(1 + NUMBERS.index(number) % 7, total + 1, 7):
        disk = prepare()
        faulty = FaultyCalls(disk, Fault(number, nth=nth))
        try:
            report = open_pool(faulty).migrate()
            failed += not report.ok
        except HoldfastError:
            failed += 1
        after = open_pool(disk)
        for what, source in sources.items():
            assert after.show(what).text == source, nth
        assert errors(after.verify()) == [], nth
        assert after.migrate().ok, nth
        assert all(after.reader.schemas(h) == [Schema.V1] for h in after.list()), nth
        for what, source in sources.items():
            assert after.show(what).text == source, nth
    assert failed > total // 28


def test_a_migration_that_cannot_delete_says_so_and_goes_on_later():
    disk = CrashCalls()
    pool = open_pool(disk)
    path, data, hash = v0_file({"eng": ENGLISH, "fra": FRENCH, LONG: SPANISH})
    pool.store.put(f"functions/{path}", data)
    faulty = FaultyCalls(disk, Fault(errno.EIO, op="unlink", path=path, ever_after=True))
    with pytest.raises(StorageFailure):
        open_pool(faulty).migrate()
    assert pool.reader.schemas(hash) == [Schema.V1, Schema.V0]
    report = pool.migrate()
    assert (report.finished, report.deleted) == ([hash], 1)
