"""A PostgreSQL database: its few connections, its errors as ours.

Everything here bears a pooler in transaction mode (PgBouncer): no prepared statement has a name,
no setting outlives a transaction, no lock a session; types are those that asyncpg knows unasked.
"""

import asyncio
import contextlib
import os
import re
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

import asyncpg

from synmem.backends.patience import ANSWER_S, CONNECT_S, again
from synmem.backends.postgres.dsn import FORM, for_asyncpg, unknown
from synmem.backends.postgres.errors import Lost, translating
from synmem.errors import ProfileError, StoreError, StoreUnavailable
from synmem.finishing import CANCELLED_S, to_its_end
from synmem.masking import mask, mask_text, secrets_of, unquoted

MOST_CONNECTIONS: Final = 4
"""So many connections a store has at most, where so many tasks ask at once."""


class Database:
    """The connections to a database."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.name = _shown(settings)
        self._secrets = secrets_of(settings)
        self._dsn = for_asyncpg(settings["dsn"])
        self._idle: list[Any] = []
        self._room = asyncio.Semaphore(MOST_CONNECTIONS)

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        """A connection to oneself, outside any transaction; what is open at the end is undone."""
        async with self._room:
            with translating(self.name, self._secrets):
                connection = await self._connected()
                try:
                    yield connection
                    self._idle.append(connection)
                except (asyncpg.PostgresError, StoreError):
                    await to_its_end(self._settle(connection))
                    raise
                except asyncio.CancelledError:
                    await to_its_end(self._undo(connection))
                    raise
                except BaseException:
                    # Interrupted in the middle of an answer: nobody can tell what comes next.
                    connection.terminate()
                    raise

    async def fetch(self, sql: str, *values: Any) -> list[Any]:
        """All rows of a query, which is asked again where the server was lost."""

        async def step() -> list[Any]:
            async with self.connection() as connection:
                return list(await connection.fetch(sql, *values))

        return await again(step, (Lost,))

    async def _connected(self) -> Any:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        try:
            return await asyncpg.connect(
                self._dsn,
                timeout=CONNECT_S,
                command_timeout=ANSWER_S,
                statement_cache_size=0,
            )
        except TimeoutError as error:
            raise StoreUnavailable(
                f"{self.name}: no connection within {CONNECT_S:.0f} seconds", hint="try again later"
            ) from error
        except ssl.SSLCertVerificationError:  # which is a ValueError too
            raise
        except (asyncpg.UndefinedObjectError, asyncpg.ProtocolViolationError) as error:
            # PostgreSQL's word for a setting that it does not know, and a pooler's.
            if _NO_SETTING.search(str(error)) is None:
                raise
            raise unknown(self.name, mask_text(str(error), self._secrets)) from error
        except OSError as error:
            if not self._is_of_a_file(error):
                raise
            raise ProfileError(
                f"{self.name}: the files for TLS cannot be used: {error}",
                hint="sslrootcert, sslcert and sslkey name files in PEM form",
            ) from error
        except ValueError as error:
            raise ProfileError(
                f"{self.name}: {mask_text(str(error), self._secrets)}", hint=FORM
            ) from error

    def _is_of_a_file(self, error: OSError) -> bool:
        """Whether a file for TLS that the DSN names is not there, or is none."""
        if isinstance(error, ssl.SSLError):
            return error.library in ("X509", "PEM")
        named = [unquoted(name) for name in _TLS_FILE.findall(self._dsn)]
        return isinstance(error, FileNotFoundError) and not all(map(os.path.exists, named))

    async def _settle(self, connection: Any) -> None:
        """Undo what the statement that failed belongs to, and keep the connection if it is good."""
        try:
            if connection.is_in_transaction():
                await connection.execute("ROLLBACK")
            if not connection.is_closed():
                self._idle.append(connection)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            connection.terminate()
        except BaseException:
            connection.terminate()
            raise

    async def _undo(self, connection: Any) -> None:
        """Where a statement was cancelled: the server is told, and what it belongs to is rolled
        back. A connection that is only cut off would wait for its locks there, and keep others."""
        with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            await connection.execute("ROLLBACK", timeout=CANCELLED_S)
        connection.terminate()  # the word to the server may come late, and end another statement

    async def close(self) -> None:
        """Close the connections; twice is once."""
        idle, self._idle = self._idle, []
        try:
            await to_its_end(self._close(idle), within_s=CANCELLED_S)
        finally:
            for connection in idle:
                if not connection.is_closed():
                    connection.terminate()

    async def _close(self, idle: Sequence[Any]) -> None:
        for connection in idle:
            with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                await connection.close(timeout=CONNECT_S)


_NO_SETTING: Final = re.compile("unrecognized configuration parameter|unsupported startup param")
_TLS_FILE: Final = re.compile("[?&]ssl(?:rootcert|cert|key|crl)=([^&#]*)")


def _shown(settings: Mapping[str, Any]) -> str:
    """The store's name: its DSN, masked, and what else says where it is."""
    name = mask(settings["dsn"])
    for key in ("schema", "table"):
        if key in settings:
            name += f"{'&' if '?' in name else '?'}{key}={settings[key]}"
    return name
