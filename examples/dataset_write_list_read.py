"""Write, list, read: a dataset of records in the default layout."""

from __future__ import annotations

import holdfast

with holdfast.init("archive") as repo:
    trips = repo.dataset("trips")
    trips.write([{"city": "Oslo", "km": 12}, {"city": "Bergen", "km": 7}], message="first week")
    # Exactly what is given: the first week is not in it.
    trips.write([{"city": "Oslo", "km": 30}], {"source": "app"}, message="second week")
    trips.append([{"city": "Bodø", "km": 3}], message="a late one")

    for snapshot in trips.snapshots():
        print(snapshot.id, snapshot.message, snapshot.row_count, dict(snapshot.metadata))
    print(trips.read())
    print(next(trips.snapshots()).read())
