"""New, empty stores on every backend, as the URLs that a user would type."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.backends.sqlite.test_openai_agents import alchemy
from tests.cli.moved import run
from tests.services import Given, unique
from tests.services.proxy import Proxy

BACKENDS = ("sqlite", "redis", "postgres", "mongo", "dynamodb")
LAYOUTS = ("synapsekit", "langchain", "openai_agents", "sqlalchemy")
"""Others that are written, and one of them where times order its rows."""
EVERY = (*BACKENDS, *LAYOUTS)


class Places:
    """Makes the addresses of stores; at the end of the test they are emptied."""

    def __init__(self, request: pytest.FixtureRequest, folder: Path) -> None:
        self._request = request
        self._folder = folder
        self._made: list[str] = []

    def new(self, backend: str, server_url: str | None = None) -> str:
        """Where a store of this backend may be: on the session's server, or on another one, which
        whoever started it ends."""
        name = unique()
        if backend == "sqlite":
            return str(self._folder / f"{name}.db")
        if server_url is not None:
            return _address(backend, server_url, name)
        server = self.server(backend)
        place = _address(backend, server.url, name)
        if isinstance(server, Given):
            self._made.append(place)
        return place

    def of(self, kind: str) -> str:
        """The same, or one in an SQLite file of a layout that is not our own."""
        if kind in BACKENDS:
            return self.new(kind)
        path = self.new("sqlite")
        if kind == "sqlalchemy":
            alchemy(Path(path))
            kind = "openai_agents"
        return f"sqlite:///{path}?layout={kind}"

    def server(self, backend: str) -> Any:
        """The session's server for this backend."""
        return self._request.getfixturevalue(f"{backend}_server")

    def clear(self) -> None:
        """Empty every store on a server of the user's; our own servers end with all they hold."""
        for url in self._made:
            run("clear", "-p", url, "--match", "*", "--yes", "--no-backup")


@contextlib.contextmanager
def proxied(place: str) -> Iterator[tuple[Proxy, str]]:
    """A proxy in front of the server of this place, and the place's address through it."""
    server = re.search(r"(?:127\.0\.0\.1|localhost):(\d+)", place)
    if server is None:
        pytest.skip("the server of the environment is not on loopback")
    with Proxy(int(server[1])) as proxy:
        yield proxy, place.replace(server[0], f"127.0.0.1:{proxy.port}")


def _address(backend: str, url: str, name: str) -> str:
    own = {"redis": f"prefix={name}:", "postgres": f"table={name}", "mongo": f"db_name={name}"}
    if backend == "dynamodb":
        return f"dynamodb://us-east-1/{name}?endpoint_url={url}&create=true"
    return f"{url}{'&' if '?' in url else '?'}{own[backend]}"
