"""The guides to Zarr, xarray and their safety do what they say."""

import pytest

from acceptance.documents import ROOT, check


@pytest.mark.parametrize(
    ("name", "programs"), [("zarr-and-xarray.md", 3), ("chunk-and-region-safety.md", 1)]
)
def test_the_programs_of_the_guide_print_what_it_says(name, programs, tmp_path):
    assert check(ROOT / "docs/guide" / name, tmp_path) == programs


def test_the_vector_of_the_format_is_the_index_that_is_written():
    from holdfast.digests import sha256_hex
    from holdfast.interop.zarr_pack import FOOTER, Layer, Placed, encode_index

    sha = sha256_hex(b"x")
    keys = {"t/c/0": Placed("", 8, 4, sha), "t/c/1": Placed("d/a", 9, 2, sha), "t/c/2": None}
    index = encode_index([Layer("d/b", {})], keys)[: -FOOTER.size].decode()
    assert index in (ROOT / "docs/spec/zarr.md").read_text()
