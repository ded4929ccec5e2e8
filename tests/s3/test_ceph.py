"""What Debian 12's Ceph RADOS Gateway does, as docs/guide/object-stores.md tells it."""

from __future__ import annotations

import dataclasses

import pytest

from holdfast.errors import Denied
from holdfast.store.object_probe import Abilities, Match, Publish
from s3_servers import Server, ceph  # noqa: F401

pytestmark = pytest.mark.s3


def test_it_takes_bare_tags_and_minds_conditions_on_puts_only(ceph: Server) -> None:  # noqa: F811
    with ceph.store() as store:
        assert store.abilities() == Abilities(Match.UNQUOTED, Publish.SPOOL)


def test_a_wrong_secret_is_denied_and_not_shown(ceph: Server) -> None:  # noqa: F811
    wrong = dataclasses.replace(ceph, secret_access_key="hush-hush")
    with wrong.store() as store:
        for call in (
            lambda: store.put("a", b""),
            lambda: store.get("a"),
            lambda: list(store.list()),
        ):
            with pytest.raises(Denied, match="credentials") as caught:
                call()
            assert "hush" not in str(caught.value.to_json())
