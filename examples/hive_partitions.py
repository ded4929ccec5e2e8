"""Partitions in the hive layout, and scans that read only those that matter."""

from __future__ import annotations

import datetime

import pyarrow as pa
from pyarrow.compute import field

import holdfast

hours = [datetime.datetime(2024, 1, 1) + datetime.timedelta(hours=n) for n in range(24 * 30)]
table = pa.table(
    {"day": [h.date() for h in hours], "hour": hours, "t": [float(h.hour) for h in hours]}
)

with holdfast.init("archive") as repo:
    weather = repo.dataset("weather", partition_by="day")
    snapshot = weather.write(table)
    print(len(snapshot.files), "files, as", snapshot.files[0].path.split("/")[3])

    noon = weather.scan(
        where=(field("day") == datetime.date(2024, 1, 12)) & (field("t") >= 12), columns=["hour"]
    )
    print(noon.count(), "rows,", len(noon.explain().kept), "file read")
    print(noon.explain())
