"""The object store on the real server of ``make s3-up``."""

from __future__ import annotations

import pytest

from object_store_behaviour import ObjectStoreBehaviour, ObjectStoreContract
from s3_servers import Server, ceph  # noqa: F401

pytestmark = pytest.mark.s3


class TestObjectStoreOnCeph(ObjectStoreBehaviour):
    @pytest.fixture(scope="class")
    @classmethod
    def server(cls, ceph: Server) -> Server:  # noqa: F811
        return ceph


class TestContractOnCeph(ObjectStoreContract):
    @pytest.fixture(scope="class")
    @classmethod
    def server(cls, ceph: Server) -> Server:  # noqa: F811
        return ceph
