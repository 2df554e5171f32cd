"""What a DSN says: understood, or named with what to do; `Place` is a database of the test's own."""

import pytest

from synmem.backends.postgres.dsn import for_asyncpg
from synmem.errors import ProfileError, SynmemError
from tests.backends.postgres.test_store import Place, place, read, write
from tests.conformance import numbered

__all__ = ["place"]  # a fixture

AT = "postgresql://u:p%40@db.internal:6432/chat"


@pytest.mark.parametrize(
    ("given", "passed_on"),
    [
        ("", ""),
        ("?sslmode=require&channel_binding=prefer", "?sslmode=require"),
        ("?pgbouncer=true&connection_limit=1&pool_timeout=0", ""),
        ("?ssl=true", "?sslmode=require"),
        ("?ssl=false&application_name=x%20y", "?sslmode=disable&application_name=x%20y"),
        ("?ssl=verify-full", "?sslmode=verify-full"),
        ("?sslmode=verify-ca&ssl=true", "?sslmode=verify-ca"),
        ("?ssl=true&sslmode=verify-ca", "?sslmode=verify-ca"),
        ("?sslmode=no-verify", "?sslmode=require"),
        ("?requiressl=1", "?sslmode=require"),
        ("?sslcertmode=allow&client_encoding=utf8", ""),
        ("?options=-csearch_path%3Da", "?options=-csearch_path%3Da"),
        ("?prepareThreshold=0&statement_cache_size=0&uselibpqcompat=true", ""),
        ("?sslmode=require&supa=base-pooler.x&async_fallback=true", "?sslmode=require"),
        ("?options=endpoint%3Dep-x&sslmode=require", "?options=endpoint%3Dep-x&sslmode=require"),
        ("?host=a:1&host=b:2", "?host=a:1,b:2"),
    ],
)
def test_parameters_of_other_programs_are_understood(given: str, passed_on: str) -> None:
    assert for_asyncpg(AT + given) == AT + passed_on


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg", "psycopg2", "pg8000"])
@pytest.mark.parametrize("scheme", ["postgresql", "postgres"])
def test_the_driver_that_sqlalchemy_names_is_left_out(scheme: str, driver: str) -> None:
    rest = "://u:p%40+x@h/d?application_name=a%2Bb"
    assert for_asyncpg(f"{scheme}+{driver}{rest}") == scheme + rest
    with pytest.raises(ProfileError, match="no URL") as refused:
        for_asyncpg(f"{scheme}+{driver}://u:hun/ter2@h/d")
    assert "ter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("channel_binding=require", "verify-full"),
        ("require_auth=scram-sha-256", "verify-full"),
        ("sslcertmode=require", "sslcert and sslkey"),
        ("sslcertmode=disable", "sslcert and sslkey"),
        ("gssencmode=require", "verify-full"),
        ("sslaccept=strict", "verify-full"),
        ("sslcrldir=/crl", "sslcrl"),
        ("replication=database", "ordinary"),
        ("client_encoding=latin1", "UTF-8"),
        ("currentSchema=a", "schema=NAME"),
        ("hostaddr=10.0.0.1&sslmode=verify-full", "/etc/hosts"),
    ],
)
def test_what_the_driver_cannot_do_is_named_with_what_to_do(given: str, said: str) -> None:
    with pytest.raises(ProfileError, match=given.partition("=")[0]) as refused:
        for_asyncpg(f"{AT}?{given}")
    assert said in (refused.value.hint or "")
    assert "p%40" not in str(refused.value)


def test_hostaddr_is_where_it_goes() -> None:
    assert for_asyncpg(f"{AT}?hostaddr=10.0.0.1") == "postgresql://u:p%40@10.0.0.1:6432/chat"
    assert for_asyncpg("postgres:///a?host=x&hostaddr=::1") == "postgres://[::1]/a"


def test_the_systems_authorities_are_a_file() -> None:
    found = for_asyncpg(f"{AT}?sslrootcert=system")
    assert "sslrootcert=/" in found
    assert "sslmode=verify-full" in found


def test_a_real_server_is_reached_with_them_and_unknown_ones_are_named(place: Place) -> None:
    write(place, "c", numbered(1))
    for extra in ("pgbouncer=true&connection_limit=5", "ssl=false", "hostaddr=127.0.0.1"):
        joined = "&" if "?" in place.url else "?"
        assert len(read(place, "c", dsn=f"{place.url}{joined}{extra}")) == 1
    driver = place.url.replace("postgresql://", "postgresql+asyncpg://")
    assert len(read(place, "c", dsn=f"{driver}?async_fallback=true")) == 1
    with pytest.raises(SynmemError, match="nonesuch") as refused:
        read(place, "c", dsn=f"{place.url}?nonesuch=1")
    assert "leave that parameter out" in (refused.value.hint or "")
