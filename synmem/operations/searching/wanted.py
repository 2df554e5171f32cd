"""Which messages a search looks at: those of some roles, or of some time."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Final

TITLE: Final = "title"
"""What stands for the role where a conversation's title was found."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def time_of(moment: datetime | None) -> int | None:
    """A time as a whole number of microseconds, which sorts as times do."""
    return None if moment is None else (moment - _EPOCH) // timedelta(microseconds=1)


class Wanted:
    """The messages of these roles, `since` and before `until`: none of them has no time.

    A title has the role TITLE, and the time of its conversation's last message.
    """

    def __init__(
        self,
        roles: Collection[str] = (),
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> None:
        self._roles = frozenset(map(role_key, roles))
        self._since, self._until = time_of(since), time_of(until)
        self.is_all = not roles and since is None and until is None

    def has_role(self, role: str | bytes) -> bool:
        """Whether this role is wanted, or that of this `role_key`."""
        if not self._roles:
            return True
        return (role_key(role) if isinstance(role, str) else role) in self._roles

    def has_time(self, at_us: int | None) -> bool:
        """Whether that time is wanted."""
        if self._since is None and self._until is None:
            return True
        return (
            at_us is not None
            and (self._since is None or at_us >= self._since)
            and (self._until is None or at_us < self._until)
        )


def role_key(role: str) -> bytes:
    """A role as an index holds it: exactly, a lone surrogate too."""
    return role.encode("utf-8", "surrogatepass")
