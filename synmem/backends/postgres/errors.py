"""asyncpg's exceptions as ours, and which of them mean that the server was only lost."""

import contextlib
import ssl
from collections.abc import Iterable, Iterator
from typing import Any, Final

import asyncpg

from synmem.backends.patience import ANSWER_S
from synmem.errors import AccessDenied, CorruptData, StoreError, StoreNotFound, StoreUnavailable
from synmem.masking import mask_text


class Lost(StoreUnavailable):
    """The server was lost, or gave the step up: it may be tried again."""


class RowRefused(StoreError):
    """The table, as somebody has made it, refuses a row: by a constraint, a trigger, a policy."""

    @property
    def why(self) -> str:
        """What the server says of it, without the row."""
        return said_of(self.__cause__ or self)


_TRY: Final = "try again later"
_REACH: Final = "is the server running, and the address right?"

_ERRORS: Final[tuple[tuple[Any, type[StoreError], str | None], ...]] = (
    ((asyncpg.InvalidAuthorizationSpecificationError,), AccessDenied, "check user and password"),
    ((asyncpg.InsufficientPrivilegeError,), AccessDenied, "the role lacks a right: GRANT it"),
    (
        (asyncpg.ReadOnlySQLTransactionError,),
        AccessDenied,
        "this server or role only reads: name the primary",
    ),
    ((asyncpg.InvalidCatalogNameError,), StoreNotFound, "createdb makes a database"),
    ((asyncpg.InvalidSchemaNameError,), StoreNotFound, "CREATE SCHEMA makes one"),
    ((asyncpg.UndefinedTableError,), StoreNotFound, None),
    ((asyncpg.UndefinedColumnError,), CorruptData, "name another table with ?table="),
    ((asyncpg.ProtocolViolationError,), StoreError, None),
    ((asyncpg.QueryCanceledError, asyncpg.LockNotAvailableError), StoreUnavailable, _TRY),
    (
        (
            asyncpg.PostgresConnectionError,
            asyncpg.TransactionRollbackError,  # a deadlock, a serialization failure
            asyncpg.OperatorInterventionError,  # it shuts down, or has only just started
            asyncpg.IdleInTransactionSessionTimeoutError,
            asyncpg.TooManyConnectionsError,
        ),
        Lost,
        _TRY,
    ),
    (
        (asyncpg.DiskFullError,),
        StoreError,
        "the server's disk is full; nothing of this call was written",
    ),
    ((asyncpg.InsufficientResourcesError,), StoreUnavailable, _TRY),
    ((asyncpg.PostgresError,), StoreError, None),
    ((asyncpg.TargetServerAttributeNotMatched,), StoreUnavailable, _TRY),
    ((asyncpg.DataError, asyncpg.UnsupportedServerFeatureError), StoreError, None),
    ((asyncpg.InterfaceError, asyncpg.InternalClientError), Lost, _TRY),
)
"""The first that fits decides."""

_REFUSES_TLS: Final = "rejected SSL upgrade"
"""asyncpg's words in a plain ConnectionError, which is also what it says of a broken one."""

_FILL: Final = (
    "give the column a default, or bring a value for it in the message's extra, under synmem"
)

_NO_SCHEMA: Final = "permission denied for schema"
"""The server's words, in English, where either right is missing."""

_SCHEMA: Final = "GRANT USAGE ON SCHEMA lets the role look there, GRANT CREATE make tables"

_OF_A_ROW: Final = ("22", "23", "44", "P0")
"""How the codes of errors begin that are of a value, of a constraint, of the condition of a view,
or raised by a trigger."""

_POLICIES: Final = "ExecWithCheckOptions"
"""The server's function that reports what a policy refuses: as a lack of a right."""


@contextlib.contextmanager
def translating(store: str, secrets: Iterable[str]) -> Iterator[None]:
    """asyncpg's exceptions as ours, without these secrets."""
    try:
        yield
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
        kind, hint = _kind(error)
        raise kind(_text(store, error, secrets), hint=hint) from error
    except ssl.SSLCertVerificationError as error:
        raise AccessDenied(
            _text(store, error, secrets), hint="sslrootcert names the authority's file"
        ) from error
    except TimeoutError as error:
        raise StoreUnavailable(
            f"{store}: no answer within {ANSWER_S:.0f} seconds", hint=_TRY
        ) from error
    except PermissionError as error:
        raise AccessDenied(_text(store, error, secrets)) from error
    except OSError as error:
        if _REFUSES_TLS in str(error):
            raise AccessDenied(
                _text(store, error, secrets), hint="sslmode=prefer goes without where it must"
            ) from error
        raise Lost(_text(store, error, secrets), hint=_REACH) from error


def _kind(error: BaseException) -> tuple[type[StoreError], str | None]:
    if is_of_a_row(error):
        return RowRefused, _FILL if isinstance(error, asyncpg.NotNullViolationError) else None
    if isinstance(error, asyncpg.InsufficientPrivilegeError) and _NO_SCHEMA in said_of(error):
        return AccessDenied, _SCHEMA
    return next((kind, hint) for classes, kind, hint in _ERRORS if isinstance(error, classes))


def is_of_a_row(error: BaseException) -> bool:
    """Whether the server refuses what is in a row; with another one it may go on."""
    if not isinstance(error, asyncpg.PostgresError):
        return False
    return (
        (error.sqlstate or "").startswith(_OF_A_ROW)
        or isinstance(error, asyncpg.UnknownPostgresError)  # a trigger's own code
        or getattr(error, "server_source_function", None) == _POLICIES
    )


def said_of(error: BaseException) -> str:
    """The server's message, without what is in the row."""
    return str(getattr(error, "message", None) or error)


def may_pass(error: asyncpg.PostgresError) -> bool:
    """Whether it says nothing of the statement: it may be well another time."""
    return issubclass(_kind(error)[0], StoreUnavailable)


def _text(store: str, error: BaseException, secrets: Iterable[str]) -> str:
    return f"{store}: {mask_text(str(error) or type(error).__name__, secrets)}"
