"""Artifacts by reference, hidden and brought back."""

from __future__ import annotations

import holdfast

with holdfast.init("archive") as repo:
    ledger = repo.ledger
    model = ledger.put(b"weights of a model", type_tag=7)
    many = ledger.put_many(b"row %d" % n for n in range(1000))
    print(model.text, "and", len(many), "more")
    print(ledger.get(model), ledger.stat(model).type_tag)

    hidden = ledger.tombstone(model)
    try:
        ledger.get(model)
    except holdfast.NotFound as error:
        print("hidden:", error.code)
    ledger.lift(model, hidden)
    print("back:", ledger.exists(model))
