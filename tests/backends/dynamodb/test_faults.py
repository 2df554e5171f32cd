"""The DynamoDB store where the server is not there, refuses, throttles, is killed, or its answer is
lost; and where many write at once."""

import asyncio
import contextlib
import http.client
import http.server
import json
import multiprocessing
import os
import signal
import threading
import time
import urllib.request
from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import Any

import pytest

from synmem.errors import AccessDenied, Changed, StoreUnavailable
from synmem.messages import Conversation, Message
from synmem.store import START, Part, once
from tests.backends.dynamodb import place as dynamodb_place
from tests.backends.dynamodb.place import SECRET, client, opened, plain_table, raw_items
from tests.cli.moved import make
from tests.cli.processes import in_pipe, start
from tests.conformance import add, contents, details, ids, items, numbered, run
from tests.services import Missing, Server, free_port, without
from tests.services.dynamodb import moto, running
from tests.services.proxy import Proxy


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    dynamodb_place.credentials(monkeypatch)


@pytest.fixture
def url(dynamodb_server: Server) -> str:
    return dynamodb_server.url


@pytest.fixture
def table(url: str) -> Iterator[str]:
    with dynamodb_place.own_table(url) as name:
        yield name


@contextlib.contextmanager
def private(folder: Path, server: Any = running) -> Iterator[Any]:
    """A server of the test's own, to be killed or closed."""
    try:
        (folder / "server").mkdir()
        with server(folder / "server") as started:
            yield started
    except Missing as missing:
        without("dynamodb", str(missing))


@contextlib.contextmanager
def proxied(url: str) -> Iterator[tuple[Proxy, str]]:
    host, _, port = url.removeprefix("http://").partition(":")
    with Proxy(int(port.strip("/")), host) as proxy:
        yield proxy, f"http://127.0.0.1:{proxy.port}"


def is_write(sent: bytes) -> bool:
    """Whether the last request is one that writes; an earlier one may stand before it."""
    return b".TransactWriteItems" in sent[max(0, sent.rfind(b"POST /")) :]


def address(url: str, table: str, **keys: str) -> str:
    more = "".join(f"&{key}={value}" for key, value in keys.items())
    return f"dynamodb://us-east-1/{table}?endpoint_url={url}{more}"


async def all_fail(*attempts: Awaitable[Any]) -> None:
    """Each of them finds that the server is unavailable; they are awaited at once, since each is
    patient for seconds."""
    failed = await asyncio.gather(*attempts, return_exceptions=True)
    assert {type(each) for each in failed} == {StoreUnavailable}, failed


# --- not there, or not for us ---


def test_a_server_that_is_not_there_is_unavailable_within_seconds() -> None:
    url = f"http://127.0.0.1:{free_port()}"

    async def main() -> None:
        with pytest.raises(StoreUnavailable) as caught:
            async with opened(url, "t"):
                pass
        assert SECRET not in str(caught.value)

    begun = time.monotonic()
    run(main())
    assert time.monotonic() - begun < 20
    told = in_pipe("ls", "-p", address(url, "chat"))
    assert told.returncode == 4
    assert told.stdout == b""
    assert told.stderr.startswith(b"synmem: dynamodb://us-east-1/chat")
    assert b"Traceback" not in told.stderr
    assert b"stamina" not in told.stderr


def test_a_server_that_goes_away_is_unavailable_in_each_call(tmp_path: Path) -> None:
    async def main() -> None:
        with private(tmp_path) as server:
            plain_table(server.url, "chat")
            async with opened(server.url, "chat") as store:
                await add(store, "c", numbered(1))
                server.kill()
                await all_fail(
                    ids(store), contents(store, "c"), add(store, "c", numbered(1)),
                    store.delete("c"), store.note("c", "n"), store.set_note("c", "n", 1),
                    store.replace(Conversation("c"), once(numbered(1)), upto=START),
                )  # fmt: skip

    run(main())


def test_credentials_that_are_wrong_are_denied_and_not_shown(tmp_path: Path) -> None:
    with private(tmp_path, moto) as server:
        plain_table(server.url, "chat")
        request = urllib.request.Request(
            f"{server.url}/moto-api/reset-auth", b"0", {"Content-Type": "text/plain"}
        )
        urllib.request.urlopen(request).close()

        async def main() -> None:
            with pytest.raises(AccessDenied) as caught:
                async with opened(server.url, "chat"):
                    pass
            assert SECRET not in f"{caught.value} {caught.value.hint}"

        run(main())
        told = in_pipe("ls", "-p", address(server.url, "chat"))
        assert told.returncode == 5
        assert SECRET.encode() not in told.stderr
        assert b"Traceback" not in told.stderr


def test_where_no_credentials_are_it_is_denied(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

    async def main() -> None:
        for settings in ({}, {"aws_profile": "nobody"}):
            with pytest.raises(AccessDenied):
                async with opened(url, "chat", **settings):
                    pass

    run(main())
    told = in_pipe("show", "c", "-p", address(url, "chat"))
    assert told.returncode == 5
    assert b"aws_profile" in told.stderr


def test_a_profile_of_aws_is_used(
    url: str, table: str, own_folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    (own_folders / ".aws").mkdir()
    (own_folders / ".aws" / "credentials").write_text(
        f"[team]\naws_access_key_id = test\naws_secret_access_key = {SECRET}\n"
    )
    (own_folders / ".aws" / "config").write_text("[profile team]\nregion = eu-central-1\n")
    told = in_pipe("add", "c", "x", "-p", f"dynamodb:///{table}?endpoint_url={url}&aws_profile=team&create=true")  # fmt: skip
    assert told.returncode == 0, told.stderr

    async def main() -> None:
        async with opened(url, table, aws_profile="team", region=None) as store:
            assert "eu-central-1" in store.name
            assert await contents(store, "c") == ["x"]

    run(main())


# --- answers that do not come ---


def test_a_write_whose_answer_is_lost_does_not_double(url: str, table: str) -> None:
    async def main() -> None:
        with proxied(url) as (proxy, through):
            async with opened(through, table, create=True) as store:
                await add(store, "c", numbered(1))

                def cut() -> None:
                    proxy.cut_after_request(is_write)

                cut()
                end = await add(store, "c", numbered(150, 1))
                assert proxy.cuts == 1
                cut()
                await store.append([Part(Conversation("c", "T"), numbered(2, 151), end)])
                assert await contents(store, "c") == [f"message {n}" for n in range(153)]
                cut()
                await store.replace(Conversation("c"), once(numbered(3, 900)), upto=end)
                assert await contents(store, "c") == [f"message {n}" for n in (900, 901, 902, 151, 152)]  # fmt: skip
                cut()
                await store.set_note("c", "n", 1)
                cut()
                assert await store.delete("c") is True
                assert proxy.cuts == 5
                assert await store.delete("c") is False
        assert raw_items(url, table) == []

    run(main())


async def texts(store: Any) -> list[str]:
    return [m.content async for page in store.read(["c"]) for m in page.items]


def test_a_server_that_is_killed_while_it_is_written_to_keeps_what_it_said(tmp_path: Path) -> None:
    """But for the very last: DynamoDB Local answers before it commits, and can lose one by a kill
    (raw transactions with botocore alone do so in one of six kills)."""

    async def main() -> None:
        with private(tmp_path) as server:
            async with opened(server.url, "chat", create=True, page_size=1000) as store:
                await add(store, "c", numbered(1))
                killer = threading.Thread(target=_kill_twice, args=(server,))
                killer.start()
                end = [p.position(-1) async for p in store.read(["c"])][-1]
                sure = done = 1
                while killer.is_alive() or done < 300:
                    part = Part(Conversation("c"), numbered(7, done), end)
                    try:
                        (end,) = await store.append([part])
                        sure, done = done, done + 7
                    except (StoreUnavailable, Changed):
                        with contextlib.suppress(StoreUnavailable):
                            said = await texts(store)
                            assert len(said) >= sure
                            sure = done = len(said)
                            end = [p.position(-1) async for p in store.read(["c"])][-1]
                killer.join()
                assert await texts(store) == [f"message {n}" for n in range(done)]

    run(main())


def _kill_twice(server: Any) -> None:
    for pause in (0.4, 0.7):
        time.sleep(pause)
        server.kill()
        time.sleep(0.3)
        server.start()


class Front(http.server.BaseHTTPRequestHandler):
    """In front of the real server; `answer` is a test's own."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet
    place = ""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(self.headers["X-Amz-Target"].rpartition(".")[2], body)

    def answer(self, operation: str, body: bytes) -> None:
        raise NotImplementedError

    def done(self, body: bytes) -> tuple[int, bytes]:
        """What the real server says."""
        server = http.client.HTTPConnection(self.place)
        headers = {
            k: v for k, v in self.headers.items() if k not in ("Connection", "Content-Length")
        }
        server.request("POST", "/", body, headers)
        answer = server.getresponse()
        said = answer.status, answer.read()
        server.close()
        return said

    def say(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing is printed."""


@contextlib.contextmanager
def in_front(handler: type[Front], url: str) -> Iterator[str]:
    handler.place = url.removeprefix("http://")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as front:
        thread = threading.Thread(target=front.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{front.server_port}"
        finally:
            front.shutdown()
            thread.join()


def test_a_server_that_throttles_is_asked_again(url: str, table: str) -> None:
    turns: list[str] = []
    kind = "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException"

    class Throttle(Front):
        def answer(self, operation: str, body: bytes) -> None:
            turns.append(operation)
            slower = 400, json.dumps({"__type": kind, "message": "slower"}).encode()
            self.say(*(slower if len(turns) % 2 else self.done(body)))

    async def main(through: str) -> None:
        async with opened(through, table, create=True) as store:
            await add(store, "c", numbered(120))
            assert len(await contents(store, "c", limit=8)) == 8
            assert await ids(store) == ["c"]
            assert await store.delete("c")

    with in_front(Throttle, url) as through:
        run(main(through))
    assert len(turns) > 20
    assert raw_items(url, table) == []


@pytest.mark.parametrize("share", [0, 0.3, 0.9])
def test_an_answer_that_is_cut_where_nothing_says_its_length_is_asked_for_again(
    url: str, table: str, share: float
) -> None:
    """As that of a server which is killed: a read never takes it for nothing found."""
    cut: list[str] = []

    class Cut(Front):
        def answer(self, operation: str, body: bytes) -> None:
            status, said = self.done(body)
            whole = bool(len(cut) % 3)
            cut.append("" if whole else operation)
            if whole:
                self.say(status, said)
            else:
                self.send_response(status)
                self.end_headers()
                self.wfile.write(said[: int(len(said) * share)])
                self.close_connection = True

    async def main(through: str) -> None:
        async with opened(through, table, create=True) as store:
            await add(store, "c", numbered(5))
            assert len(await contents(store, "c")) == 5
            assert (await details(store))["c"].messages == 5
            assert await store.delete("c")
            assert await ids(store) == []

    with in_front(Cut, url) as through:
        run(main(through))
    assert {"Query", "DescribeTable", "TransactWriteItems"} <= {*cut}
    assert raw_items(url, table) == []


def test_an_answer_that_says_nothing_is_a_connection_that_broke(url: str, table: str) -> None:
    class Nothing(Front):
        def answer(self, operation: str, body: bytes) -> None:
            self.say(*(self.done(body) if operation == "DescribeTable" else (200, b"{}")))

    async def main(through: str) -> None:
        async with opened(url, table, create=True) as store:
            await add(store, "c", numbered(1))
        async with opened(through, table) as store:
            await all_fail(contents(store, "c"), ids(store), details(store))

    with in_front(Nothing, url) as through:
        run(main(through))


def test_a_write_is_known_again_where_the_server_forgot_that_it_did_it(
    url: str, table: str
) -> None:
    """DynamoDB remembers a transaction's token for ten minutes; after that the items tell."""
    lost: list[str] = []

    class Forgetful(Front):
        lose = False

        def answer(self, operation: str, body: bytes) -> None:
            if operation == "TransactWriteItems":
                asked = json.loads(body)
                del asked["ClientRequestToken"]
                body = json.dumps(asked).encode()
            said = self.done(body)
            if operation == "TransactWriteItems" and Forgetful.lose:
                Forgetful.lose = False
                lost.append(operation)
                self.close_connection = True
            else:
                self.say(*said)

    async def main(through: str) -> None:
        async with opened(through, table, create=True) as store:
            end = START
            for expect, more in ((True, 3), (False, 120), (True, 120)):
                Forgetful.lose = True
                part = Part(Conversation("c"), numbered(more), end if expect else None)
                (end,) = await store.append([part], keep=200)
            said = [f"message {n}" for more in (3, 120, 120) for n in range(more)]
            assert await contents(store, "c") == said[-200:]
            first = await anext(store.read(["c"]))
            Forgetful.lose = True
            await store.replace(Conversation("c"), once(numbered(3, 500)), upto=first.position(1))
            assert (await contents(store, "c"))[:4] == ["message 500", "message 501", "message 502", said[-198]]  # fmt: skip
            Forgetful.lose = True
            assert await store.delete("c") is True

    with in_front(Forgetful, url) as through:
        run(main(through))
    assert len(lost) == 5
    assert raw_items(url, table) == []


# --- many at once ---


def _write(url: str, table: str, name: str, count: int) -> None:
    async def main() -> None:
        async with opened(url, table, create=True) as store:
            for n in range(count):
                await add(store, "c", [Message(name, str(n))])

    asyncio.run(main())


@pytest.mark.parametrize(
    ("processes", "count"), [(3, 15), pytest.param(8, 8, marks=pytest.mark.real)]
)
def test_processes_that_append_to_one_conversation_lose_nothing(
    url: str, table: str, processes: int, count: int
) -> None:
    spawn = multiprocessing.get_context("spawn")
    writers = [
        spawn.Process(target=_write, args=(url, table, f"w{n}", count)) for n in range(processes)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(200)
    assert [writer.exitcode for writer in writers] == [0] * processes

    async def main() -> None:
        async with opened(url, table) as store:
            found = await items(store, "c")
            assert len(found) == processes * count
            for n in range(processes):
                assert [m.content for m in found if m.role == f"w{n}"] == [str(k) for k in range(count)]  # fmt: skip

    run(main())


def test_a_migration_that_was_killed_is_completed_by_a_second_run_at_once(
    url: str, table: str, tmp_path: Path
) -> None:
    said = {f"c{n}": [f"{n}.{k}" for k in range(40)] for n in range(20)}
    said["long"] = [str(k) for k in range(900)]
    source = make(tmp_path / "source.db", said)
    dest = address(url, table, create="true")
    for turn in range(3):
        process = start("migrate", str(source), dest)
        _wait_for_items(url, table, 200 * (turn + 1))
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    done = in_pipe("migrate", str(source), dest)
    assert done.returncode == 0, done.stderr
    checked = in_pipe("check", str(source), dest)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def _wait_for_items(url: str, table: str, count: int) -> None:
    """Until the table has about so many items, or for some seconds."""
    end = time.monotonic() + 15
    with client(url) as boto:
        while time.monotonic() < end:
            with contextlib.suppress(boto.exceptions.ResourceNotFoundException):
                if boto.scan(TableName=table, Select="COUNT")["Count"] >= count:
                    return
            time.sleep(0.02)
