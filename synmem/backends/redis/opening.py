"""The connections to a Redis server or cluster: made from settings; scripts and scans run on
them; the driver's exceptions as ours."""

import asyncio
import contextlib
import inspect
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    ConnectionPool,
    SSLConnection,
    parse_url,
)
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AskError,
    AuthenticationError,
    ClusterDownError,
    ClusterError,
    ConnectionError,
    NoScriptError,
    RedisClusterException,
    RedisError,
    ResponseError,
    TimeoutError,
)

from synmem.backends.patience import ANSWER_S, CONNECT_S, FIRST_ANSWER_S, again
from synmem.backends.redis.lua import Script
from synmem.backends.redis.plain import PLAIN
from synmem.errors import (
    AccessDenied,
    CorruptData,
    ProfileError,
    StoreError,
    StoreUnavailable,
    SynmemError,
)
from synmem.finishing import CANCELLED_S, to_its_end
from synmem.masking import mask, mask_text, secrets_of, unquoted

_SCAN_COUNT: Final = 1000
_NOBODYS: Final = b":"
"""No key of ours ends so. A node asked for one that it has not says whether its slot is moving."""

_NO_SCRIPTS: Final = re.compile(
    "no permissions to run the 'eval|unknown command .eval", re.IGNORECASE
)
"""What a server says to whoever may not run scripts at all."""

_MOVING: Final = "its nodes send us from one to the other: a slot is on its way between them"

T = TypeVar("T")

_OURS: Final[dict[str, Any]] = {
    "protocol": 2,  # what every server, proxy and version speaks, without asking first
    "decode_responses": False,
    "retry_on_timeout": False,
    # The server need not be told the driver's name, which takes a round trip at each connection;
    # redis-py 8 has deprecated the parameters that 6 and 7 have for it.
    **(
        {"driver_info": None}
        if "driver_info" in inspect.signature(AbstractConnection).parameters
        else {"lib_name": None, "lib_version": None}
    ),
}
"""What no URL may change."""


class Server:
    """A Redis server, or a cluster, all of whose keys here lie on one node."""

    def __init__(self, url: str, *, cluster: bool) -> None:
        self.shown = mask(url)
        self._secrets = secrets_of({"url": url})
        self._scriptless = False
        """Whether this user may not run scripts."""
        try:
            options = _options(url)
            given, options["socket_timeout"] = options.get("socket_timeout"), None
            self._patience_s: float = given or FIRST_ANSWER_S
            self._answer_s: float = given or ANSWER_S
            self._client = _cluster(options) if cluster else _single(options)
        except OSError as error:
            raise ProfileError(
                f"{self.shown}: the files for TLS cannot be used: {error}",
                hint="ssl_ca_certs, ssl_certfile and ssl_keyfile name files in PEM form",
            ) from error
        except (ValueError, TypeError, RedisError, RedisClusterException) as error:
            text = re.sub(r".*unexpected keyword argument", "there is no parameter", str(error))
            raise ProfileError(
                f"{self.shown}: {mask_text(text, self._secrets)}",
                hint="redis://[USER:PASSWORD@]HOST[:PORT][/DB], rediss://... or unix:///SOCKET",
            ) from error

    @property
    def is_cluster(self) -> bool:
        """Whether its keys lie on several nodes, of which one has ours."""
        return isinstance(self._client, RedisCluster)

    async def call(self, script: Script, keys: Sequence[bytes], *arguments: bytes | int) -> Any:
        """What the script returns; it is run again where the answer was lost, so one that writes
        must know itself again. Without a right to scripts, what only reads is done without."""
        if not (self._scriptless and script.sha in PLAIN):
            try:
                return (await self.call_counted(script, keys, *arguments))[0]
            except StoreError as error:
                if script.sha not in PLAIN or not _NO_SCRIPTS.search(str(error)):
                    raise
        self._scriptless = True
        return await PLAIN[script.sha](self.ask_all, keys, *arguments)

    async def call_counted(
        self, script: Script, keys: Sequence[bytes], *arguments: bytes | int
    ) -> tuple[Any, int]:
        """As `call`, and how often it was tried."""
        return await self._tried(script, keys, lambda _: arguments)

    async def call_telling(
        self, script: Script, keys: Sequence[bytes], *arguments: bytes | int
    ) -> tuple[Any, int]:
        """As `call_counted`, of a script that is told as its first argument whether it may have
        been run already."""
        return await self._tried(script, keys, lambda tries: (int(tries > 1), *arguments))

    async def _tried(
        self,
        script: Script,
        keys: Sequence[bytes],
        arguments: Callable[[int], Sequence[bytes | int]],
    ) -> tuple[Any, int]:
        tries = 0

        async def step() -> Any:
            nonlocal tries
            tries += 1
            rest = (len(keys), *keys, *arguments(tries))
            try:
                return await self._ask("EVALSHA", script.sha, *rest)
            except NoScriptError:
                return await self._ask("EVAL", script.text, *rest)

        if not script.writes:
            return await self._again(step), tries
        return await to_its_end(self._again(step), within_s=CANCELLED_S), tries

    async def ask_all(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        """What the server answers to each of these commands, which come one behind the other, on
        the node of the first one's key. Where it refuses one, for the type of its key or a right
        that this user has not, the error stands in the answer's place."""
        if not commands:
            return []

        async def step() -> list[Any]:
            async with self._connection(commands[0][1]) as connection:
                answers = await self._answers(connection, commands)
            return [self._borne(answer) for answer in answers]

        return await self._again(step)

    def _borne(self, answer: Any) -> Any:
        """The answer; an error that says something of one key as ours, any other is raised."""
        if isinstance(answer, RedisError):
            ours = self._ours(answer)
            if not isinstance(ours, AccessDenied | CorruptData):
                raise answer
            return ours
        return answer

    async def kind(self, key: bytes) -> str:
        """The type of a key: "none" where there is no such key."""

        kind = await self._again(lambda: self._ask("TYPE", key))
        return kind.decode() if isinstance(kind, bytes) else str(kind)

    async def scan(
        self,
        key: bytes,
        *command: bytes | str,
        options: Sequence[Any],
        most: int | None = None,
    ) -> list[bytes]:
        """All that a SCAN or SSCAN of the node of this key finds, to the end of its cursor; or in
        `most` looks, of a thousand keys each.

        On one connection, and from the beginning where that broke: a cursor means nothing to
        another process, such as the same server restarted. Where the slot of the key is on its way
        to another node, each has a part of what there is: then it raises.
        """

        async def step() -> list[bytes]:
            found: dict[bytes, None] = {}
            async with self._connection(key) as connection:
                cursor, looks = b"0", 0
                while looks != most:
                    whole = (*command, cursor, *options, "COUNT", _SCAN_COUNT)
                    cursor, some = await self._answer(connection, whole)
                    found.update(dict.fromkeys(some))
                    looks += 1
                    if cursor == b"0":
                        break
                if isinstance(self._client, RedisCluster):
                    await self._answer(connection, ("TYPE", key + _NOBODYS))
            return list(found)

        return await self._again(step)

    async def _again(self, step: Callable[[], Awaitable[T]]) -> T:
        async def translated() -> T:
            with self._translating():
                return await step()

        return await again(translated, (StoreUnavailable,))

    async def _ask(self, *command: Any) -> Any:
        # The driver's own timeout for answers is off: before Python 3.12 it loses a cancellation
        # that comes as a command is sent, and with it somebody's Ctrl-C.
        async with asyncio.timeout(self._patience_s):
            answer = await self._client.execute_command(*command)
        self._patience_s = self._answer_s
        return answer

    @contextlib.asynccontextmanager
    async def _connection(self, key: bytes) -> AsyncIterator[Any]:
        """One connection, to the node that has this key."""
        node: Any = None
        pool: Any = None
        async with asyncio.timeout(self._patience_s):
            if isinstance(self._client, RedisCluster):
                await self._client.execute_command("TYPE", key)  # follows where the slot has moved
                node = self._client.get_node_from_key(key.decode())
                connection: Any = node.acquire_connection()
                await connection.connect()
            else:
                pool = self._client.connection_pool
                connection = await pool.get_connection()
        try:
            yield connection
        finally:
            if node is None:
                await pool.release(connection)
            else:
                node.release(connection)

    async def _answer(self, connection: Any, command: Sequence[Any]) -> Any:
        """The answer to a command on this connection."""
        [answer] = await self._answers(connection, [command])
        if isinstance(answer, RedisError):
            raise answer
        return answer

    async def _answers(self, connection: Any, commands: Sequence[Sequence[Any]]) -> list[Any]:
        """The answer to each of these; an error stands where it came."""
        answers: list[Any] = []
        async with asyncio.timeout(self._patience_s):
            await connection.send_packed_command(connection.pack_commands(commands))
            for _ in commands:
                try:
                    answers.append(await connection.read_response())
                except ResponseError as error:
                    answers.append(error)
        return answers

    async def close(self) -> None:
        """Close every connection; twice is once."""
        with self._translating():
            await to_its_end(self._client.aclose(), within_s=CANCELLED_S)

    @contextlib.contextmanager
    def _translating(self) -> Iterator[None]:
        """The driver's exceptions as ours."""
        try:
            yield
        except (RedisError, RedisClusterException, OSError) as error:
            raise self._ours(error) from error

    def _ours(self, error: Exception) -> SynmemError:
        asked = isinstance(error, AskError) and isinstance(self._client, RedisCluster)
        if asked or type(error) is ClusterError:  # the latter: sent about too often
            return StoreUnavailable(f"{self.shown}: {_MOVING}", hint=_LATER)
        code = getattr(error, "status_code", None)
        text = mask_text(str(error), self._secrets) or "no answer in time"
        if isinstance(error, ClusterDownError):  # redis-py 6 keeps its code to itself
            return StoreUnavailable(f"{self.shown}: {text}", hint=_LATER)
        said = f"{code} {text}" if code and not text.startswith(code) else text
        for pattern, kind, hint in _MEANINGS:
            if re.search(pattern, said):
                return kind(f"{self.shown}: {text}", hint=hint)
        if isinstance(error, AuthenticationError):
            return AccessDenied(f"{self.shown}: {text}", hint=_CREDENTIALS)
        if isinstance(error, ConnectionError | TimeoutError | RedisClusterException | OSError):
            hint = _REACH_TLS if self.shown.startswith("rediss:") else _REACH
            return StoreUnavailable(f"{self.shown}: {text}", hint=hint)
        return StoreError(f"{self.shown}: {text}")


def _single(options: dict[str, Any]) -> Redis:
    kind = options.pop("connection_class", Connection)
    _tried(kind(**options))
    return Redis.from_pool(ConnectionPool(connection_class=kind, **options))


def _tried(connection: AbstractConnection) -> None:
    """It says at once which parameter it does not know, and which file for TLS it cannot use."""
    if isinstance(connection, SSLConnection):
        connection.ssl_context.get()


class _Cluster(RedisCluster):
    """The driver's, less its faults."""

    def get_node(self, *args: Any, **kwargs: Any) -> Any:
        """The node that it is sent to, which it knows as soon as the slot has arrived there."""
        node = super().get_node(*args, **kwargs)
        if node is None:
            raise ClusterError("sent to a node that has no slots")
        return node

    async def aclose(self) -> None:
        """Close every connection, which the driver's own does not where one was lost before."""
        await super().aclose()
        for nodes in ("nodes_cache", "startup_nodes"):
            await self.nodes_manager.aclose(nodes)


def _cluster(options: dict[str, Any]) -> RedisCluster:
    kind = options.pop("connection_class", Connection)
    if "host" not in options or options.pop("db", 0) != 0:
        raise ValueError("a cluster is reached over TCP, and has database 0 only")
    _tried(kind(**options))
    options.pop("retry_on_timeout")
    return _Cluster(ssl=kind is SSLConnection, **options)


def _options(url: str) -> dict[str, Any]:
    try:
        parsed = parse_url(url)
    except ValueError as error:
        if str(error).startswith("Invalid value for"):
            raise
        # What urllib says of a password that is not quoted has a piece of it.
        raise ValueError("no URL; in a password %, @, /, : and ? are quoted") from None
    path = "" if url.startswith("unix:") else unquoted(urlsplit(url).path).strip("/")
    if path and not path.isdecimal():
        # The driver would take database 0, which is somebody else's.
        raise ValueError(f"the database is a number, not {path!r}")
    return {
        "socket_connect_timeout": CONNECT_S,
        **parsed,
        **_OURS,
        "retry": Retry(NoBackoff(), 0),  # a write is tried again by us, who know it again
    }


def hash_tagged(prefix: str) -> bool:
    """Whether all keys with this prefix lie in one slot of a cluster."""
    return re.search(r"^[^{]*\{[^}]+\}", prefix) is not None


def checked_settings(settings: Mapping[str, Any], default_prefix: str) -> tuple[bytes, bool]:
    """The prefix, as bytes, and whether it is a cluster; ProfileError where they do not fit."""
    prefix, cluster = settings.get("prefix", default_prefix), bool(settings.get("cluster"))
    if cluster and not hash_tagged(prefix):
        raise ProfileError(
            f"{mask(settings['url'])}: in a cluster the prefix needs a hash tag, so that all keys"
            f" lie in one slot; {prefix!r} has none",
            hint=f'for example: prefix = "{{{prefix.rstrip(":") or "chat"}}}:"',
        )
    try:
        return prefix.encode(), cluster
    except UnicodeEncodeError:
        raise ProfileError(f"{mask(settings['url'])}: the prefix is not UTF-8") from None


_LATER: Final = "try again later"
_REACH: Final = "is the server running? where it speaks TLS, the URL begins with rediss:"
_REACH_TLS: Final = (
    "is the server running, does it speak TLS, and does it want a certificate (ssl_certfile)?"
)
_CREDENTIALS: Final = "check user and password"
_RIGHTS: Final = "the user needs the keys below the prefix, +@read to read, and scripts to write"

_MEANINGS: Final[tuple[tuple[str, type[StoreError], str], ...]] = (
    (r"\bNOPERM\b|\bno permissions\b|executing the script can't", AccessDenied, _RIGHTS),
    (
        # Who is not let in yet may not even send a command of many words.
        r"\b(NOAUTH|WRONGPASS)\b|invalid password|without any password configured"
        r"|unauthenticated (multi)?bulk",
        AccessDenied,
        _CREDENTIALS,
    ),
    (r"CERTIFICATE_VERIFY_FAILED", AccessDenied, "ssl_ca_certs names the authority's file"),
    # With TLS 1.3 that is heard of late, or not at all: the connection only breaks.
    (
        r"_ALERT_\w*(CERTIFICATE|UNKNOWN_CA)",
        AccessDenied,
        "the server does not take our ssl_certfile",
    ),
    (r"Permission denied", AccessDenied, "check the permissions of the socket"),
    (r"\bREADONLY\b", AccessDenied, "this is a replica: write to its primary"),
    (
        r"\b(LOADING|BUSY|TRYAGAIN|CLUSTERDOWN|MASTERDOWN|UNKILLABLE)\b",
        StoreUnavailable,
        _LATER,
    ),
    (r"Cluster mode is not enabled", StoreError, "it is no cluster: leave out cluster = true"),
    (
        r"\b(MOVED|CROSSSLOT)\b|cluster support|same slot",
        StoreError,
        "it is a cluster: cluster = true, and a prefix with a hash tag",
    ),
    (
        r"\bWRONGTYPE\b|wrong Redis type",
        CorruptData,
        "a key below the prefix belongs to another program",
    ),
    (r"DB index is out of range", StoreError, "the URL ends with the number of the database"),
    (r"\bOOM\b", StoreError, "its memory is full; nothing of this call was written"),
    (r"\b(MISCONF|NOREPLICAS)\b", StoreError, "the server takes no writes at present"),
)
"""What the server says, the error that it is, and what to do. The words are searched for, since
an error within a script comes as the end of a longer text on Redis 6."""
