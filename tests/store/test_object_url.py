"""URLs and keys of object stores."""

from __future__ import annotations

import pytest

from holdfast.errors import Invalid, InvalidPath
from holdfast.store.object_url import Location, is_object_url, is_temporary, parse_url


@pytest.mark.parametrize(
    ("url", "location", "shown"),
    [
        ("s3://bucket", Location("s3", "bucket", ""), "s3://bucket"),
        ("S3://bucket/", Location("s3", "bucket", ""), "s3://bucket"),
        ("gs://bu.ck-et/a/b/", Location("gs", "bu.ck-et", "a/b"), "gs://bu.ck-et/a/b"),
        (
            "az://container/locks/ü",
            Location("az", "container", "locks/ü"),
            "az://container/locks/ü",
        ),
    ],
)
def test_a_url_names_bucket_and_prefix(url: str, location: Location, shown: str) -> None:
    assert parse_url(url) == location
    assert parse_url(url).url == shown
    assert is_object_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "bucket/prefix",
        "http://bucket/prefix",
        "s3:/bucket",
        "s3://",
        "s3:///prefix",
        "s3://b",
        "s3://buc ket",
        "s3://bucket/a/../b",
        "s3://bucket/a//b",
        "s3://bucket/a\nb",
        "s3://bucket/.hf-0",
        "s3://bucket/a?b",
        "s3://bucket/a#b",
    ],
)
def test_a_bad_url_is_invalid(url: str) -> None:
    with pytest.raises(Invalid):
        parse_url(url)


def test_credentials_in_a_url_are_refused_and_not_repeated() -> None:
    with pytest.raises(Invalid, match="credentials") as caught:
        parse_url("s3://AKIA:hush-hush@bucket/prefix")
    assert "hush" not in str(caught.value.to_json())


@pytest.mark.parametrize("text", ["/a/b", "C:\\x", "file:///a", "s3:/a", "", "s3"])
def test_other_places_are_no_object_stores(text: str) -> None:
    assert not is_object_url(text)


def test_keys_lie_below_the_prefix_and_lead_back() -> None:
    location = Location("s3", "bucket", "a/b")
    assert location.key("c/d") == "a/b/c/d"
    assert location.path("a/b/c/d") == "c/d"
    assert location.path("a/bc/d") is None
    assert location.folder() == "a/b"
    assert location.folder("c") == "a/b/c"
    assert Location("s3", "bucket", "").folder() is None


def test_a_key_has_at_most_1024_bytes_with_its_prefix() -> None:
    location = Location("s3", "bucket", "p" * 200)
    deep = "/".join(["ü" * 100] * 4)
    assert len(location.key(deep + "x" * 20).encode()) == 1024
    with pytest.raises(InvalidPath, match="1025 bytes"):
        location.key(deep + "x" * 21)


def test_temporary_objects_are_known_by_their_name() -> None:
    location = Location("s3", "bucket", "p")
    assert location.temporary(".hf-0123456789abcdef") == "p/.hf-0123456789abcdef"
    assert is_temporary(".hf-0123456789abcdef")
    assert not is_temporary(".hf-0123456789abcdeg")
    assert not is_temporary("a.hf-0123456789abcdef")
