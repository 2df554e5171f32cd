"""BaseMemory, and what all memory classes share: the shape of a message, and how it is printed."""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Final, Protocol, Self, runtime_checkable

from synmem.strategies.lines import role_line

_PORTS: Final = 65535
_HOST: Final = re.compile(r"(\[[^\]]*\]|[^:\[\]\s]*)(:(?P<port>[0-9]{0,9}))?")

Said = dict[str, Any]
"""A message as the reference has it: `{"role", "content"}`, and perhaps `"metadata"`."""


class BaseMemory(ABC):
    """What the memory backends have in common (reference: BaseMemory interface).

    An async context manager, which closes what it opened.

    >>> class Mine(BaseMemory):
    ...     def __init__(self): self._seen = []
    ...     async def add(self, role, content):
    ...         self._seen.append({"role": role, "content": content})
    ...     async def get(self): return self.to_messages()
    ...     async def clear(self): self._seen = []
    >>> memory = Mine()
    >>> asyncio.run(memory.add("user", "Hello!"))
    >>> memory.to_string()
    'User: Hello!'
    """

    _seen: list[Said]
    """What this object has seen: what it added, or the last `get` returned."""

    @abstractmethod
    async def add(self, role: str, content: str) -> None:
        """Append a message; `role` is "user", "assistant", "system" or "tool"."""

    @abstractmethod
    async def get(self) -> list[Said]:
        """The messages as `{"role", "content"}`, oldest first."""

    @abstractmethod
    async def clear(self) -> None:
        """Remove all messages, from the store beneath too."""

    def to_messages(self) -> list[Said]:
        """What this object has seen, without asking the store: what the last `get` returned and
        was added since; before the first `get`, what was added."""
        return copies(getattr(self, "_seen", ()))

    def to_string(self) -> str:
        """`to_messages` as lines `User: ...`, `Assistant: ...`."""
        return formatted(self.to_messages())

    async def close(self) -> None:  # noqa: B027 (a memory of a program may have nothing open)
        """Give back what was opened; twice is once."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


@runtime_checkable
class Replaceable(Protocol):
    """A memory whose oldest messages can give way to one, in one atomic step."""

    async def count(self) -> int:
        """How many messages there are."""
        ...

    async def oldest(self, count: int) -> tuple[list[Said], Any]:
        """The first `count` messages, or as many of them as may give way, and what
        `replace_oldest` knows them by."""
        ...

    async def replace_oldest(self, which: Any, role: str, content: str) -> None:
        """Let those messages give way to this one; `Changed` where they are not there as they
        were."""
        ...


@runtime_checkable
class Bounded(Protocol):
    """A memory whose oldest messages may go by themselves."""

    @property
    def keeps(self) -> int | None:
        """How many messages it keeps at most; None keeps all."""
        ...


def said(role: str, content: str) -> Said:
    """A message of these; ValueError where one is not text."""
    for name, value in (("role", role), ("content", content)):
        if not isinstance(value, str):
            raise ValueError(f"{name} must be a string, not {type(value).__name__}")
    return {"role": role, "content": content}


def copies(messages: Iterable[Said]) -> list[Said]:
    """The messages anew: what a caller does to them stays with the caller."""
    return [dict(message) for message in messages]


def formatted(messages: Iterable[Said]) -> str:
    """`Role: content` lines."""
    return "\n".join(role_line(each["role"], each["content"]) for each in messages)


def at_least(least: int, **named: int) -> None:
    """ValueError, naming it, where a number is smaller than it may be, or none."""
    for name, value in named.items():
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError(f"{name} must be a whole number, not {value!r}")
        if value < least:
            raise ValueError(f"{name} must be >= {least}")


def at_least_or_none(least: int, **named: int | None) -> None:
    """`at_least`, of those that are not None."""
    at_least(least, **{name: value for name, value in named.items() if value is not None})


def text(**named: str) -> None:
    """ValueError, naming it, where a text is empty or something else."""
    for name, value in named.items():
        if not isinstance(value, str) or not value:
            raise ValueError(f"{name} must be a string that is not empty, not {value!r}")


def address(*schemes: str, **named: str) -> None:
    """ValueError, naming it, where a text is not a server's URL with one of these schemes.

    Nothing of it is shown: nobody can tell where in it a password is. No server is asked.
    """
    text(**named)
    for name, value in named.items():
        scheme, mark, rest = value.partition("://")
        if not mark or scheme.lower() not in schemes:
            raise ValueError(f"{name} must begin with {' or '.join(s + '://' for s in schemes)}")
        hosts = re.split("[/?#]", rest, maxsplit=1)[0].rpartition("@")[2]
        found = [_HOST.fullmatch(host) for host in hosts.split(",")]
        if not all(host and int(host["port"] or 0) <= _PORTS for host in found):
            raise ValueError(
                f"{name} must be {scheme}://[USER:PASSWORD@]HOST[:PORT]...; in a password %, @, /, "
                ":, ? and # are quoted"
            )
