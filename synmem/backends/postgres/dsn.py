"""What a DSN may say: parameters of libpq and of the usual drivers and ORMs, as asyncpg takes them.

What only says how a connection is kept, pooled or shown is left out: this program does as it
does. What asks for more than the driver can do is refused, with what to do instead: a demand for
safety is never dropped. What is left is a setting of the server's, which it names if it has none.
"""

import re
import ssl
import urllib.parse
from typing import Any, Final

from synmem.errors import ProfileError
from synmem.masking import mask, unquoted

FORM: Final = "postgresql://[USER[:PASSWORD]@]HOST[:PORT]/DATABASE"

_DRIVER: Final = re.compile(r"\A(postgres(?:ql)?)\+\w+(?=://)", re.IGNORECASE)
"""A scheme as SQLAlchemy writes it: a driver is named behind it."""

_CUT: Final = re.compile(r"[a-z]+://[^/?#]*(?:[/#][^?]*|.*[?&][^=&]*)@", re.DOTALL)
"""An `@` behind the host, and not in a parameter's value: the end of a password with a raw `/`,
`?` or `#`. asyncpg would go to another host, and name a piece of the password."""

_LEFT_OUT: Final = frozenset({
    "connect_timeout", "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count",
    "tcp_user_timeout", "fallback_application_name", "load_balance_hosts", "sslcompression",
    "sslsni", "gssdelegation", "min_protocol_version", "max_protocol_version", "sslkeylogfile",
    "pgbouncer", "connection_limit", "pool_timeout", "pool_size", "max_overflow", "pool_recycle",
    "pool_pre_ping", "socket_timeout", "statement_cache_size", "prepared_statement_cache_size",
    "prepared_statement_name_func", "max_cached_statement_lifetime",
    "max_cacheable_statement_size", "statement_cache_mode", "default_query_exec_mode",
    "pool_max_conns", "pool_min_conns", "pool_max_conn_lifetime", "pool_max_conn_idle_time",
    "pool_health_check_period", "prepareThreshold", "preparedStatementCacheQueries",
    "reWriteBatchedInserts", "tcpKeepAlive", "loginTimeout", "connectTimeout", "socketTimeout",
    "uselibpqcompat", "serverVersion", "server_version", "charset", "encoding", "command_timeout",
    "timeout", "async_fallback", "executemany_mode", "supa",
})  # fmt: skip
"""Of libpq, SQLAlchemy and asyncpg, Prisma, pgx, JDBC, node-postgres, Doctrine and hosters."""

_MORE: Final = {
    "channel_binding": ({"prefer", "disable"}, "sslmode=verify-full proves the server"),
    "gssencmode": ({"prefer", "disable"}, "sslmode=verify-full encrypts"),
    "require_auth": (set[str](), "sslmode=verify-full proves the server"),
    "sslcertmode": ({"allow"}, "sslcert and sslkey give a certificate"),
    "sslcrldir": (set[str](), "sslcrl names one file"),
    "sslidentity": (set[str](), "sslcert and sslkey name files in PEM form"),
    "requirepeer": (set[str](), "the folder's permissions say who listens"),
    "replication": ({"false", "off", "no", "0"}, "this is an ordinary connection"),
    "sslaccept": ({"accept_invalid_certs"}, "sslmode=verify-full proves the server"),
}
"""What may ask for more than the driver can do: the values that do not, and what to do instead."""

_OTHERWISE: Final = {
    "currentSchema": "schema=NAME, or options=-csearch_path%3DNAME",
    "targetServerType": "target_session_attrs=read-write",
    "ApplicationName": "application_name=NAME",
}
"""Names that other drivers have for what is called otherwise here."""

_SSL: Final = {
    "true": "require", "1": "require", "on": "require", "yes": "require", "no-verify": "require",
    "false": "disable", "0": "disable", "off": "disable", "no": "disable",
}  # fmt: skip


def for_asyncpg(dsn: str) -> str:
    """The DSN as asyncpg understands it; ProfileError names what it cannot do."""
    dsn = _DRIVER.sub(r"\1", dsn)
    if _CUT.match(dsn):
        raise ProfileError(
            f"{mask(dsn)}: no URL; in a password %, @, /, :, ? and # are quoted", hint=FORM
        )
    head, mark, query = dsn.partition("?")
    if not mark:
        return dsn
    query, hash_mark, fragment = query.partition("#")
    kept: dict[str, str] = {}
    for part in filter(None, query.split("&")):
        key, _, value = part.partition("=")
        _take(kept, unquoted(key), value, dsn)
    head = _hosted(head, kept, dsn)
    query = "&".join(f"{urllib.parse.quote(key)}={value}" for key, value in kept.items())
    return head + ("?" + query if query else "") + hash_mark + fragment


def unknown(name: str, error: Any) -> ProfileError:
    """What is said where the server has no such setting: it was sent there as one."""
    return ProfileError(
        f"{name}: {error}", hint="leave that parameter out of the DSN: nobody here knows it"
    )


def _take(kept: dict[str, str], key: str, value: str, dsn: str) -> None:
    text = unquoted(value)
    if key in _OTHERWISE:
        raise ProfileError(f"{mask(dsn)}: there is no parameter {key}", hint=_OTHERWISE[key])
    if key in _MORE:
        harmless, instead = _MORE[key]
        if text.lower() not in harmless:
            raise ProfileError(
                f"{mask(dsn)}: {key}={text} is more than the driver can do",
                hint=f"leave it out; {instead}",
            )
    elif key == "requiressl":
        if text == "1":
            kept.setdefault("sslmode", "require")
    elif key == "ssl":
        kept.setdefault("sslmode", _SSL.get(text.lower(), value))
    elif key == "sslmode":
        kept[key] = _SSL.get(text.lower(), value)
    elif key == "sslrootcert" and text == "system":
        kept[key] = urllib.parse.quote(_authorities(dsn))
        kept.setdefault("sslmode", "verify-full")
    elif key == "client_encoding":
        if text.lower() not in ("utf8", "utf-8", "unicode", "auto"):
            raise ProfileError(
                f"{mask(dsn)}: client_encoding={text} is not what the driver speaks",
                hint="leave it out; it speaks UTF-8, and the server converts",
            )
    elif key == "host" and key in kept:  # SQLAlchemy writes one for each of several
        kept[key] += f",{value}"
    elif key not in _LEFT_OUT:
        kept[key] = value


def _authorities(dsn: str) -> str:
    """The file of the authorities that this system trusts."""
    found = ssl.get_default_verify_paths().cafile
    if found is None:
        raise ProfileError(
            f"{mask(dsn)}: this system has no file of trusted authorities",
            hint="sslrootcert names one in PEM form",
        )
    return found


def _hosted(head: str, kept: dict[str, str], dsn: str) -> str:
    """`hostaddr` is where to go; the host is then only a name, which verify-full needs."""
    addresses = kept.pop("hostaddr", "")
    if not addresses:
        return head
    if kept.get("sslmode") == "verify-full" or "," in unquoted(addresses):
        raise ProfileError(
            f"{mask(dsn)}: hostaddr beside several hosts or sslmode=verify-full is more than the"
            " driver can do",
            hint="leave it out, and let the host's name lead there: /etc/hosts",
        )
    kept.pop("host", None)
    scheme, _, rest = head.partition("://")
    place, slash, path = rest.partition("/")
    user, at, host = place.rpartition("@")
    address = unquoted(addresses)
    port = re.search(r":[0-9]+\Z", host)
    shown = f"[{address}]" if ":" in address else address
    return f"{scheme}://{user}{at}{shown}{port[0] if port else ''}{slash}{path}"
