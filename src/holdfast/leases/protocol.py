"""What a lease is, and where leases come from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self


class Lease(Protocol):
    """A held lease. Released by `close` only; closed by itself in a forked child."""

    name: str
    exclusive: bool

    @property
    def held(self) -> bool:
        """Whether this process holds it: false after `close`, and in a forked child."""

    def close(self) -> None:
        """Release; idempotent."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class Leases(Protocol):
    """Named leases. Threads of one process exclude each other too; a lease is not re-entrant."""

    def acquire(self, name: str, *, exclusive: bool = True, timeout: float | None = 30.0) -> Lease:
        """Take the lease, waiting at most `timeout` seconds (0: do not wait, None: for ever).

        Raises:
            Busy: held by another; the message and details name the holder (pid, host, what, since).
        """

    def holder(self, name: str) -> str | None:
        """A text that names who holds the lease exclusively now, or None when it is free."""
