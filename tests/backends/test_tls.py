"""Redis and PostgreSQL over TLS: on servers that speak it, where this machine has such, and behind
a front that does; whom they take, whom we take, and what is said where one is not taken."""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from synmem.backends.postgres.store import open as open_postgres
from synmem.backends.postgres.table import literal
from synmem.errors import AccessDenied, ProfileError, StoreUnavailable, SynmemError
from tests.backends.redis.place import opened as opened_redis
from tests.cli.processes import in_pipe
from tests.conformance import PAGE_SIZE, add, contents, ids, numbered, run
from tests.services import Missing, unique
from tests.services.postgres import PASSWORD as PG_PASSWORD
from tests.services.postgres import Postgres
from tests.services.postgres import running as running_postgres
from tests.services.redis import running as running_redis
from tests.services.redis import speaking_tls
from tests.services.tls import Certificates, certificates, front

PASSWORD = "hunter2@/:"
IN_A_URL = "hunter2%40%2F%3A"
SECRETS = ("hunter2", "s3cr")


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates(tmp_path_factory.mktemp("ours"))


@pytest.fixture(scope="module")
def strange(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Those of an authority that nobody knows."""
    return certificates(tmp_path_factory.mktemp("strange"))


def said_by(error: SynmemError) -> str:
    """What it says, in which there must be no secret."""
    said = f"{error}\n{error.hint}"
    assert not any(secret in said for secret in SECRETS)
    return said


# --- Redis ---

Serving = Callable[..., AbstractContextManager[str]]


@contextlib.contextmanager
def behind_a_front(
    folder: Path, made: Certificates, *, password: str, client: bool
) -> Iterator[int]:
    with (
        running_redis(folder, password=password) as server,
        front(server.port, made, client=client) as port,
    ):
        yield port


@pytest.fixture(params=["itself", "front"])
def serving_redis(request: pytest.FixtureRequest, tmp_path: Path) -> Serving:
    """Starts a server that shows these certificates, and may want a client's; its address."""

    @contextlib.contextmanager
    def serving(made: Certificates, *, client: bool = False) -> Iterator[str]:
        way: Any = behind_a_front if request.param == "front" else speaking_tls
        try:
            with way(tmp_path / "redis", made, password=PASSWORD, client=client) as port:
                yield f"rediss://:{IN_A_URL}@127.0.0.1:{port}"
        except Missing as missing:
            pytest.skip(str(missing))

    return serving


def use_redis(url: str) -> None:
    async def main() -> None:
        async with opened_redis(url) as store:
            await add(store, "c", numbered(3))
            assert len(await contents(store, "c")) == 3
            assert await ids(store) == ["c"]
            await store.delete("c")

    run(main())


def refused_redis(url: str, error: type[SynmemError]) -> str:
    """What is said where it does not work, in which there must be no secret."""
    with pytest.raises(error) as caught:
        use_redis(url)
    return said_by(caught.value)


def test_redis_takes_us_and_we_take_a_server_that_our_authority_knows(
    serving_redis: Serving, ours: Certificates, strange: Certificates
) -> None:
    with serving_redis(ours) as url:
        use_redis(f"{url}?ssl_ca_certs={ours.authority}")
        use_redis(f"{url}?ssl_cert_reqs=none")
        for query in (f"?ssl_ca_certs={strange.authority}", ""):
            said = refused_redis(url + query, AccessDenied)
            assert "certificate verify failed" in said
            assert "ssl_ca_certs" in said
        elsewhere = url.replace("127.0.0.1", "localhost")  # which the certificate does not name
        said = refused_redis(f"{elsewhere}?ssl_ca_certs={ours.authority}", AccessDenied)
        assert "localhost" in said


def test_redis_may_want_a_certificate_of_ours(serving_redis: Serving, ours: Certificates) -> None:
    with serving_redis(ours, client=True) as url:
        url += f"?ssl_ca_certs={ours.authority}"
        use_redis(f"{url}&ssl_certfile={ours.client}&ssl_keyfile={ours.client_key}")
        # With TLS 1.3 the connection only breaks, most often.
        with pytest.raises((AccessDenied, StoreUnavailable)) as caught:
            use_redis(url)
        assert "ssl_certfile" in said_by(caught.value)


def test_redis_without_tls_where_there_is_some_says_so(
    serving_redis: Serving, ours: Certificates
) -> None:
    with serving_redis(ours) as url:
        assert "rediss:" in refused_redis(url.replace("rediss", "redis"), StoreUnavailable)


def test_redis_over_tls_where_there_is_none_says_so(tmp_path: Path) -> None:
    with running_redis(tmp_path / "redis", password=PASSWORD) as server:
        url = f"rediss://:{IN_A_URL}@127.0.0.1:{server.port}?socket_connect_timeout=0.2"
        assert "TLS" in refused_redis(url, StoreUnavailable)


def test_files_that_redis_cannot_use_are_told_of_at_once(
    ours: Certificates, strange: Certificates, tmp_path: Path
) -> None:
    none = tmp_path / "none.pem"
    for query in (
        f"ssl_ca_certs={none}",
        f"ssl_ca_certs={ours.key}",
        f"ssl_certfile={none}&ssl_keyfile={ours.client_key}",
        f"ssl_certfile={ours.client}&ssl_keyfile={strange.client_key}",
    ):
        assert "TLS" in refused_redis(f"rediss://:{IN_A_URL}@h?{query}", ProfileError)


# --- PostgreSQL ---


@pytest.fixture(scope="module")
def postgres_over_tls(tmp_path_factory: pytest.TempPathFactory, ours: Certificates) -> Any:
    """A server that takes no connection without TLS."""
    try:
        with running_postgres(tmp_path_factory.mktemp("pg"), ours) as server:
            server.run(f"CREATE ROLE certified LOGIN SUPERUSER PASSWORD {literal(PG_PASSWORD)}")
            yield server
    except Missing as missing:
        pytest.skip(str(missing))


@pytest.fixture(params=["itself", "front"])
def postgres_url(request: pytest.FixtureRequest, ours: Certificates) -> Iterator[str]:
    """The address of a server over TLS: its own, or a front's."""
    if request.param == "itself":
        yield request.getfixturevalue("postgres_over_tls").url
        return
    server = request.getfixturevalue("postgres_server")
    if not isinstance(server, Postgres):
        pytest.skip("another server may do TLS itself")
    with front(server.port, ours, asked=True) as port:
        yield server.url.replace(f":{server.port}/", f":{port}/")


def use_postgres(url: str) -> None:
    async def main() -> None:
        settings = {"dsn": url, "table": unique()}
        store = await open_postgres(settings, write=True, page_size=PAGE_SIZE)
        try:
            await add(store, "c", numbered(3))
            assert len(await contents(store, "c")) == 3
        finally:
            await store.close()

    run(main())


def refused_postgres(url: str, error: type[SynmemError]) -> str:
    """What is said where it does not work, in which there must be no secret."""
    with pytest.raises(error) as caught:
        use_postgres(url)
    return said_by(caught.value)


def test_postgres_takes_us_and_we_take_a_server_that_our_authority_knows(
    postgres_url: str, ours: Certificates, strange: Certificates
) -> None:
    known, unknown = f"sslrootcert={ours.authority}", f"sslrootcert={strange.authority}"
    elsewhere = postgres_url.replace("127.0.0.1", "localhost")  # the certificate does not name it
    use_postgres(postgres_url)
    use_postgres(f"{postgres_url}?sslmode=require")
    use_postgres(f"{postgres_url}?sslmode=verify-full&{known}")
    use_postgres(f"{elsewhere}?sslmode=verify-ca&{known}")
    for url in (
        f"{postgres_url}?sslmode=verify-full&{unknown}",
        f"{postgres_url}?sslmode=verify-ca&{unknown}",
        f"{elsewhere}?sslmode=verify-full&{known}",
    ):
        said = refused_postgres(url, AccessDenied)
        assert "certificate verify failed" in said
        assert "sslrootcert" in said


def test_postgres_that_takes_nobody_without_tls_says_so(postgres_over_tls: Postgres) -> None:
    said = refused_postgres(f"{postgres_over_tls.url}?sslmode=disable", AccessDenied)
    assert "no encryption" in said


def test_postgres_may_want_a_certificate_of_ours(
    postgres_over_tls: Postgres, ours: Certificates
) -> None:
    url = postgres_over_tls.url.replace("//postgres:", "//certified:")
    mine = f"sslcert={ours.client}&sslkey={ours.client_key}"
    use_postgres(f"{url}?sslmode=verify-full&sslrootcert={ours.authority}&{mine}")
    # A process of its own: asyncpg leaves a connection that is refused over TLS to the loop.
    done = in_pipe("ls", "-p", f"{url}?sslmode=require")
    assert done.returncode == 5
    assert b"valid client certificate" in done.stderr
    assert b"s3cr" not in done.stderr


def test_files_that_postgres_cannot_use_are_told_of_at_once(
    postgres_url: str, ours: Certificates, strange: Certificates, tmp_path: Path
) -> None:
    url, none = f"{postgres_url}?sslmode=verify-full", tmp_path / "none.pem"
    for query in (
        f"sslrootcert={none}",
        f"sslrootcert={ours.key}",
        f"sslrootcert={ours.authority}&sslcert={none}&sslkey={ours.client_key}",
        f"sslrootcert={ours.authority}&sslcert={ours.client}&sslkey={strange.client_key}",
    ):
        assert "TLS" in refused_postgres(f"{url}&{query}", ProfileError)


# --- the program ---


def test_the_program_denies_with_exit_code_5_and_shows_no_secret(
    tmp_path: Path, ours: Certificates, strange: Certificates, postgres_server: Any
) -> None:
    config = tmp_path / "config.toml"
    command = f"printf {PASSWORD}"
    with (
        running_redis(tmp_path / "r", password=PASSWORD) as redis,
        front(redis.port, ours) as redis_port,
        front(1, ours, asked=True) as postgres_port,
    ):
        profiles = {
            "redis": {"url": f"rediss://default@127.0.0.1:{redis_port}?ssl_ca_certs={{}}"},
            "postgres": {
                "dsn": f"postgresql://u@127.0.0.1:{postgres_port}/db?sslmode=verify-full&sslrootcert={{}}"
            },
        }
        for name, profile in profiles.items():
            ((key, url),) = profile.items()
            profile |= {
                "backend": name,
                "password_command": command,
                key: url.format(strange.authority),
            }
        config.write_text(tomli_w.dumps({"profiles": profiles}))
        config.chmod(0o600)
        for name in profiles:
            for arguments in (
                ["ls", "-v", "--json"],
                ["add", "c", "x"],
                ["profile", "test"],
            ):
                where = [name] if arguments[0] == "profile" else ["-p", name]
                done = in_pipe(*arguments, *where, "--config", str(config))
                assert done.returncode == 5, done.stderr
                assert b"certificate verify failed" in done.stderr
                assert b"hunter2" not in done.stdout + done.stderr
