"""The object store on `moto_server`."""

from __future__ import annotations

import pytest

from object_store_behaviour import ObjectStoreBehaviour, ObjectStoreContract
from s3_servers import Server, moto  # noqa: F401


class TestObjectStoreOnMoto(ObjectStoreBehaviour):
    @pytest.fixture(scope="class")
    @classmethod
    def server(cls, moto: Server) -> Server:  # noqa: F811
        return moto


class TestContractOnMoto(ObjectStoreContract):
    @pytest.fixture(scope="class")
    @classmethod
    def server(cls, moto: Server) -> Server:  # noqa: F811
        return moto
