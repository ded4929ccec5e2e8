"""References into GRIB 2 files that the tests write with eccodes."""

from __future__ import annotations

import eccodes
import numpy as np
import pytest
import xarray

from holdfast.errors import Invalid, NotFound, Unsupported
from holdfast.interop.grib_references import grib_references, message_ranges
from holdfast.interop.references import Range, ReferenceSet
from holdfast.interop.xarray import open_reference_set
from interop_files import CountingStore, kept

POINTS = 16 * 31


def message(values=None, *, sample="regular_ll_sfc_grib2", missing=None, **keys):
    handle = eccodes.codes_grib_new_from_samples(sample)
    try:
        for key, value in keys.items():
            eccodes.codes_set(handle, key, value)
        if values is not None:
            eccodes.codes_set(handle, "bitsPerValue", 24)
            if missing is not None:
                eccodes.codes_set(handle, "bitmapPresent", 1)
                eccodes.codes_set(handle, "missingValue", missing)
            eccodes.codes_set_array(handle, "values", np.asarray(values, "f8").ravel())
        return eccodes.codes_get_message(handle)
    finally:
        eccodes.codes_release(handle)


def field(seed):
    return 270 + np.random.default_rng(seed).random((31, 16))


def steps_and_levels():
    return b"".join(
        message(
            field(step * 100 + level),
            typeOfLevel="isobaricInhPa",
            level=level,
            stepUnits="h",
            forecastTime=step,
        )
        for step in (0, 6, 12)
        for level in (500, 850)
    )


def made(content):
    store = CountingStore()
    references = ReferenceSet.from_json(grib_references(kept(store, "a.grib2", content)).to_json())
    return references, store


def test_messages_become_one_variable_over_steps_and_levels():
    references, store = made(steps_and_levels())
    data = open_reference_set(references, store)
    assert data["t"].dims == ("step", "isobaricInhPa", "latitude", "longitude")
    assert data["isobaricInhPa"].values.tolist() == [500, 850]
    assert (data["step"].values / np.timedelta64(1, "h")).tolist() == [0, 6, 12]
    assert data["time"].values == np.datetime64("2007-03-23T12:00")
    found = data["t"].sel(isobaricInhPa=850).isel(step=1).values
    assert np.allclose(found, field(600 + 850), atol=1e-4)


def test_values_are_those_of_cfgrib(tmp_path):
    content = steps_and_levels()
    (tmp_path / "a.grib2").write_bytes(content)
    references, store = made(content)
    ours = open_reference_set(references, store)
    theirs = xarray.open_dataset(
        tmp_path / "a.grib2", engine="cfgrib", backend_kwargs={"indexpath": ""}
    ).transpose("step", "isobaricInhPa", ...)
    theirs = theirs.sortby("isobaricInhPa")
    for name in ("t", "latitude", "longitude", "step", "time", "isobaricInhPa"):
        assert np.array_equal(ours[name].values, theirs[name].values), name
    assert ours["t"].attrs["units"] == theirs["t"].attrs["units"] == "K"


def test_opening_reads_nothing_and_one_field_reads_one_message():
    references, store = made(steps_and_levels() * 1)
    store.ranges.clear()
    data = open_reference_set(references, store)
    assert store.ranges == []
    assert data["t"][0, 0].values.shape == (31, 16)
    assert len(store.ranges) == 1


def test_missing_points_and_missing_messages_are_nan():
    values = field(1)
    values[3, 4] = 9999
    content = (
        message(values, missing=9999, level=0, forecastTime=0)
        + message(field(2), forecastTime=6, typeOfLevel="isobaricInhPa", level=500)
        + message(field(3), forecastTime=12, typeOfLevel="isobaricInhPa", level=850)
    )
    references, store = made(content)
    data = open_reference_set(references, store)
    surface = data["t_surface_instant"].values
    assert np.isnan(surface[3, 4])
    assert np.isnan(surface).sum() == 1
    pressure = data["t_isobaricInhPa_instant"]
    assert np.isnan(pressure.values).sum() == 2 * POINTS
    assert pressure.shape == (2, 2, 31, 16)


def test_a_reduced_grid_has_its_points_in_one_dimension():
    content = message(sample="reduced_gg_pl_32_grib2")
    references, store = made(content)
    data = open_reference_set(references, store)
    assert data["t"].dims == ("values",)
    assert data["latitude"].shape == data["t"].shape == (6114,)
    assert data["latitude"].values[0] == pytest.approx(87.86, abs=0.01)


def test_each_message_is_named_with_its_digest():
    references, _ = made(steps_and_levels())
    assert sum(isinstance(r, Range) for r in references.refs.values()) == 6


def test_padding_between_messages_is_passed():
    content = message() + bytes(100) + message(forecastTime=3)
    store = CountingStore()
    ranges = list(message_ranges(kept(store, "a.grib2", content)))
    assert [content[o : o + 4] for o, _ in ranges] == [b"GRIB", b"GRIB"]


@pytest.mark.parametrize(
    "content",
    [
        b"no GRIB",
        message()[:-1],
        message() + b"x",
        message()[:-4] + b"0000",
        b"GRIB",
        b"GRIB\0\0\0\2",
    ],
)
def test_what_is_not_grib_is_invalid_and_says_where(content):
    with pytest.raises(Invalid, match=r"at offset|no GRIB"):
        grib_references(kept(CountingStore(), "a.grib2", content))


def test_grib_1_is_refused():
    content = message(sample="regular_ll_sfc_grib1")
    with pytest.raises(Unsupported, match="GRIB edition 1"):
        grib_references(kept(CountingStore(), "a.grib", content))


def test_two_messages_of_one_field_are_refused():
    with pytest.raises(Unsupported, match="variable t: a second message"):
        grib_references(kept(CountingStore(), "a.grib2", message() * 2))


def test_variables_can_be_chosen():
    content = message() + message(shortName="2t")
    file = kept(CountingStore(), "a.grib2", content)
    assert "t2m/.zarray" in grib_references(file).refs
    assert "t2m/.zarray" not in grib_references(file, variables=["t"]).refs
    with pytest.raises(NotFound, match="no variable u"):
        grib_references(file, variables=["u"])


def test_damage_in_a_message_is_a_typed_error():
    content = bytearray(message(field(1)))
    for at in range(16, 200, 7):
        broken = bytearray(content)
        broken[at] ^= 0xFF
        try:
            grib_references(kept(CountingStore(), "a.grib2", bytes(broken)))
        except (Invalid, Unsupported):
            pass
