"""The log of objects on an S3 server on loopback."""

from __future__ import annotations

import threading

from holdfast.ledger.log import open_log
from holdfast.records import Checked
from ledger_logs import append, batch, commit, holds, inline, pin, problems
from s3_servers import Server, moto  # noqa: F401


def test_two_writers_race_on_a_server_and_lose_nothing(moto: Server):  # noqa: F811
    url = moto.url()
    facts = []

    def work(number):
        with moto.store(url) as store, open_log(store) as log:
            for i in range(8):
                facts.append(append(log, batch(inline(b"%d-%d" % (number, i)), pin(i))))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with moto.store(url) as store, open_log(store) as log:
        facts.append(append(log, [commit("last")]))
        assert sorted(first for first, _, _ in facts) == [*range(1, 50, 3)]
        assert log.head().logseq == 49
        assert all(holds(log, fact) for fact in facts)
        assert [r.logseq for r in log.records_backwards(before=6)] == [5, 4, 3, 2, 1]
        assert problems(log) == []
        assert [f for f in log.verify() if not isinstance(f, Checked)] == []
