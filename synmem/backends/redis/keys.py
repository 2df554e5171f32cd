"""The keys of a store in Redis: how they are told apart, and whose they are."""

import re
from collections.abc import Sequence
from typing import Final

OWN: Final = "synapsekit"
"""The layout of our own keys."""

PREFIX: Final = "synapsekit:memory:"
INDEX: Final = b"conversations"
LIST: Final = b":messages"
BESIDE: Final = b":synmem"

_TOKEN: Final = re.compile(r"[0-9a-f]{32}(\.[0-9]+)?")
_PASSING: Final = re.compile(r"synmem:[a-z]+:[0-9a-f]{32}(\.[0-9]+)?\Z")


class Keys:
    """The keys of a prefix."""

    def __init__(self, prefix: bytes) -> None:
        self._prefix = prefix
        self.index = prefix + INDEX
        self.pattern = escaped(prefix) + b"*" + LIST
        self.indexes = escaped(prefix) + b"?*" + INDEX
        """The pattern of the indexes of longer prefixes that begin with this one."""

    def has(self, key: bytes) -> bool:
        """Whether it is one of these."""
        return key.startswith(self._prefix)

    def list(self, conversation: str) -> bytes:
        """The key of its messages."""
        return self._prefix + conversation.encode() + LIST

    def beside(self, conversation: str) -> bytes:
        """The key of its title, extra and notes."""
        return self._prefix + conversation.encode() + BESIDE

    def both(self, conversation: str) -> tuple[bytes, bytes]:
        """The keys of its messages, and of what lies beside."""
        return self.list(conversation), self.beside(conversation)

    def id_in(self, key: bytes) -> bytes:
        """Whose list it is."""
        return key[len(self._prefix) : -len(LIST)]

    def shorter(self) -> Sequence[tuple[bytes, bytes]]:
        """The indexes of all prefixes that this one begins with, and by how much it is longer."""
        return [
            (self._prefix[:size] + INDEX, self._prefix[size:]) for size in range(len(self._prefix))
        ]

    def longer(self, index: bytes) -> bytes:
        """By how much the prefix of this index is longer."""
        return index[len(self._prefix) : -len(INDEX)]

    def whose(self, key: bytes) -> str | None:
        """The conversation whose list this key would be, or what lies beside one; None for
        others."""
        for ending in (LIST, BESIDE):
            if key.endswith(ending):
                return decoded(key[len(self._prefix) : -len(ending)]) or None
        return None

    def own(self, kind: str, token: str) -> bytes:
        """A key of ours that belongs to no conversation, and passes."""
        return self._prefix + f"synmem:{kind}:{token}".encode()

    def step(self, token: str) -> bytes:
        """The key of a token that was given; ValueError where it is none, and the key might be
        another's."""
        if not _TOKEN.fullmatch(token):
            raise ValueError(f"not a token: {token!r}")
        return self.own("step", token)


def passes(name: str) -> bool:
    """Whether it is the name of a key of ours that passes, whatever the prefix: a write that was
    killed leaves one behind, with no conversation in it."""
    return _PASSING.search(name) is not None


def escaped(prefix: bytes) -> bytes:
    """The pattern that only this prefix fits."""
    return b"".join(b"\\" + bytes([c]) if c in b"*?[]\\^-" else bytes([c]) for c in prefix)


def decoded(name: bytes) -> str:
    """The id, or nothing where it is none."""
    try:
        return name.decode()
    except UnicodeDecodeError:
        return ""
