"""Every exception of synmem.

SynmemError
├── UsageError            what was asked makes no sense (exit 2)
├── Refused               needs a confirmation that was not given (exit 8)
├── AlreadyUndone         all of a backup is back
├── ProfileError          bad TOML, unset variable
│   ├── AddressError      no store can be there, whatever is configured (a UsageError too: exit 2)
│   ├── ProfileNotFound   no such profile (exit 3)
│   └── MissingExtra      the driver or feature is not installed
├── StoreError
│   ├── StoreUnavailable  may work later (exit 4)
│   │   ├── Changed       somebody else wrote meanwhile: look again
│   │   └── Busy          another process is at work on it, and holds its lock
│   ├── AccessDenied      will not work until you fix it (exit 5)
│   ├── StoreNotFound     the file or table that was named is not there (exit 3)
│   │   └── Emptied       the folder is there, and no conversation in it (any more)
│   ├── ConversationNotFound  (exit 3)
│   ├── MessageNotFound   the conversation has not so many messages (exit 3)
│   ├── CorruptData       the store itself cannot be read as what it should be
│   │   └── UnknownLayout what lies there is of no layout that is known, or not of the one named
│   ├── Rejected          this store cannot hold those messages
│   └── Unsupported       this store cannot do that
│       └── Unnamed       it must be said which of a place's layouts is meant (a UsageError too)
└── ModelError            the LLM, embedder or tokenizer failed

`cli/run.py` holds the one table from these to exit codes.
"""

from collections.abc import Sequence


class SynmemError(Exception):
    """What failed (`str(error)`), and what to do about it (`hint`), fit to print: no secrets."""

    kind = "error"
    retryable = False

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(SynmemError):
    """An argument or option makes no sense."""

    kind = "usage"


class Refused(SynmemError):
    """A destructive command was not confirmed."""

    kind = "refused"


class AlreadyUndone(SynmemError):
    """All of a backup is back: there is nothing left to do."""


class ProfileError(SynmemError):
    """The configuration or a store's address cannot be used."""

    kind = "profile"


class AddressError(ProfileError, UsageError):
    """A URL of an unknown scheme, or one that is no address of a store."""

    kind = "usage"


class ProfileNotFound(ProfileError):
    """There is no profile of that name."""

    kind = "not_found"


class MissingExtra(ProfileError):
    """A driver or feature is not installed; the hint names the extra."""

    kind = "missing_extra"


class StoreError(SynmemError):
    """A store failed."""

    kind = "store"


class StoreUnavailable(StoreError):
    """The store cannot be reached or is locked; it may work later."""

    kind = "unavailable"
    retryable = True


class Changed(StoreUnavailable):
    """The store changed between a look and a step that relied on it; nothing was written."""

    kind = "changed"


class Busy(StoreUnavailable):
    """Another process holds a lock: of a backup, or that of `--lock`."""


class AccessDenied(StoreError):
    """The store does not let us in."""

    kind = "access_denied"


class StoreNotFound(StoreError):
    """The file, table or folder that was named is not there."""

    kind = "not_found"


class Emptied(StoreNotFound):
    """The folder that was named, as one of a layout or of a known program, is there, and has
    nothing (any more) that may be a conversation."""


class ConversationNotFound(StoreError):
    """The conversation that was named is not in the store."""

    kind = "not_found"

    def __init__(self, conversation: str, store: str) -> None:
        self.conversation = conversation
        super().__init__(
            f"no conversation {conversation!r} in {store}",
            hint="`synmem ls` lists the conversations",
        )


class MessageNotFound(StoreError):
    """The conversation is there, and has not so many messages."""

    kind = "not_found"


class CorruptData(StoreError):
    """The store is not what it should be, or a record of it cannot be read.

    `conversation` is set where nothing but that one is concerned: the others can go on.
    """

    kind = "corrupt"

    def __init__(
        self, message: str, *, hint: str | None = None, conversation: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.conversation = conversation


class UnknownLayout(CorruptData):
    """What lies there is of no layout that is known, or not of the one that was named: nothing is
    known to be wrong with it."""


class Rejected(StoreError):
    """Messages that the store cannot hold: nothing of the call was written.

    `reasons` names every one of them: `(conversation, index in the call's messages, why)`.
    """

    kind = "rejected"

    def __init__(self, reasons: Sequence[tuple[str, int, str]], *, hint: str | None = None) -> None:
        self.reasons = list(reasons)
        conversation, index, why = self.reasons[0]
        more = f" (and {len(self.reasons) - 1} more)" if len(self.reasons) > 1 else ""
        super().__init__(
            f"conversation {conversation!r}, message {index + 1}: {why}{more}", hint=hint
        )


class Unsupported(StoreError):
    """The store or memory cannot do that."""

    kind = "unsupported"


class Unnamed(UsageError, Unsupported):
    """A place holds another framework's tables: of several, or to be written, one must be named.

    Nothing of ours can be kept there: who would write only what can lie elsewhere goes on.
    """


class ModelError(SynmemError):
    """A model, embedder or tokenizer failed."""

    kind = "model"
