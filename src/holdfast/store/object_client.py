"""The `obstore` clients of one location: how they are configured, and from where.

Settings come from arguments, then from the environment as obstore reads it (``AWS_…``,
``GOOGLE_…``, ``AZURE_…``). Secrets stay inside the clients.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from holdfast.errors import Invalid
from holdfast.store.object_retry import Retries
from holdfast.store.object_url import Location

if TYPE_CHECKING:
    from obstore.store import AzureStore, GCSStore, S3Store

    Client = S3Store | GCSStore | AzureStore

SLOWEST = 1_000_000
"""Bytes per second that a long transfer may fall to before its time-out."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How to reach a location. `config` goes to obstore as it is and may hold secrets, so that it
    is never shown. `timeout` is in seconds, for one request with its body."""

    timeout: float = 300.0
    retries: Retries = field(default_factory=Retries)
    config: dict[str, Any] = field(default_factory=dict, repr=False)


def endpoint_of(config: dict[str, Any]) -> str:
    """The S3 endpoint that applies: the argument, or AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL,
    AWS_ENDPOINT; "" for Amazon's own."""
    for value in (
        config.get("endpoint"),
        os.environ.get("AWS_ENDPOINT_URL_S3"),
        os.environ.get("AWS_ENDPOINT_URL"),
        os.environ.get("AWS_ENDPOINT"),
    ):
        if value:
            return str(value)
    return ""


def make_client(
    location: Location,
    settings: Settings,
    *,
    retry: bool = False,
    transfer: int = 0,
    copy_if_not_exists: str = "",
) -> Client:
    """A client for `location`.

    Args:
        retry: let obstore itself repeat failed requests (only for what may be repeated).
        transfer: the bytes of the largest transfer, which the time-out allows for.
        copy_if_not_exists: obstore's way of a create-only copy on S3.

    Raises:
        Invalid: settings that obstore does not take.
    """
    from obstore.exceptions import BaseError
    from obstore.store import AzureStore, GCSStore, S3Store

    tries = settings.retries
    client_options: dict[str, Any] = {
        "timeout": timedelta(seconds=settings.timeout + transfer / SLOWEST)
    }
    retry_config: dict[str, Any] = {
        "max_retries": tries.count if retry else 0,
        "backoff": {
            "init_backoff": timedelta(seconds=tries.first),
            "max_backoff": timedelta(seconds=tries.longest),
            "base": 2,
        },
    }
    config = dict(settings.config)
    makers: dict[str, Any] = {"s3": S3Store, "gs": GCSStore, "az": AzureStore}
    if location.scheme == "s3":
        endpoint = endpoint_of(config)
        if endpoint:
            config["endpoint"] = endpoint
        client_options["allow_http"] = endpoint.startswith("http://")
        if not (os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")):
            config.setdefault("region", "us-east-1")
        # one key a request: the bulk form needs checksums that some servers do not know
        config.setdefault("disable_bulk_delete", True)
        if copy_if_not_exists:
            config["copy_if_not_exists"] = copy_if_not_exists
    try:
        client: Client = makers[location.scheme](
            location.bucket,
            config=config,
            client_options=client_options,
            retry_config=retry_config,
        )
    except (BaseError, ValueError, TypeError) as error:
        # the text could repeat a setting, and so a secret: name the kind only
        raise Invalid(
            "opening the object store",
            location.url,
            found=f"settings that do not fit ({type(error).__name__})",
            hint="check the environment variables (AWS_ENDPOINT_URL, AWS_REGION, …)",
        ) from None
    return client
