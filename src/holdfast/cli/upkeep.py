"""``verify``, ``fsck``, ``gc``."""

from holdfast.cli.session import Session


def verify(session: Session) -> int:
    """Check every byte against its digest."""
    raise NotImplementedError


COMMANDS = {"verify": verify}
