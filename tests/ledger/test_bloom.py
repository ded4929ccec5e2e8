from __future__ import annotations

import hashlib
import struct

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.ledger.artifact import SHA256, Reference
from holdfast.ledger.bloom import Bloom, build, build_from_digests, probe_source

references = st.builds(Reference, st.just(SHA256), st.binary(min_size=32, max_size=32)) | st.builds(
    Reference, st.just(0x4242), st.binary(min_size=1, max_size=40)
)


def opened(data: bytes) -> Bloom:
    return Bloom(memoryview(b"before" + data), 6, len(data))


@settings(max_examples=100, deadline=None)
@given(st.lists(references, max_size=60, unique=True))
def test_what_went_in_is_never_absent(items):
    bloom = opened(build(items, len(items)))
    assert all(bloom.may_hold(probe_source(item)) for item in items)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.binary(min_size=32, max_size=32), max_size=60, unique=True))
def test_the_vectorised_filter_is_the_same(digests):
    table = np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 32)
    plain = build([Reference(SHA256, digest) for digest in digests], len(digests))
    assert build_from_digests(table) == plain


def test_a_filter_has_the_bytes_that_the_page_says():
    digest = bytes(range(32))
    data = build([Reference(SHA256, digest)], 1)
    bits = int.from_bytes(digest[16:24], "little")
    word = 0
    for i in range(5):
        word |= 1 << (bits >> 6 * i & 63)
    assert data == b"HFBLOOM1" + struct.pack("<QQ", 1, word)


def test_few_absent_references_answer_maybe():
    items = [Reference(SHA256, hashlib.sha256(b"in%d" % i).digest()) for i in range(5000)]
    bloom = opened(build(items, len(items)))
    others = [hashlib.sha256(b"out%d" % i).digest() for i in range(5000)]
    assert sum(bloom.may_hold(other) for other in others) < 150


def test_no_bytes_mean_maybe():
    assert opened(b"").may_hold(bytes(32))


def test_a_filter_of_another_layout_means_maybe():
    assert opened(b"OTHERONE" + struct.pack("<QQ", 1, 0)).may_hold(bytes(32))
    assert opened(b"HFBLOOM1" + struct.pack("<QQ", 2, 0)).may_hold(bytes(32))
    assert opened(b"HFBLOOM1" + struct.pack("<Q", 0)).may_hold(bytes(32))
