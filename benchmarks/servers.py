"""`migrate` to the four servers, verified, against the shortest way that each has of its own.

Ours is a whole command: started, copied, read back, compared. Theirs is, on PostgreSQL, a pipe
from `sqlite3` into `psql`; on the others the driver's own bulk call alone, on data that was made
ready before the clock starts, into a table or keys of the same shape, and never read back.
"""

import os
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import partial

from benchmarks import data
from benchmarks.bench import Bench, benchmark
from benchmarks.measure import Result, Work, command, peak_mb, prepared, remove, sync, telling
from tests.services import Missing, unique

MONGO_MESSAGES = 40_000
"""What may stand in for MongoDB has no index of ranges: it looks through everything, each time."""
DYNAMODB_MESSAGES = 3_000
"""DynamoDB Local takes some hundreds of items a second."""
MEMORY_TIMES = 5
"""Memory is measured on so many times the messages: a million where nothing else is asked."""


@benchmark
def postgres(b: Bench) -> Iterator[Result]:
    """Against `sqlite3 -csv | psql \\copy`."""
    url, table = b.server("postgres").url, unique("b")
    sql = partial(psql, url)
    make = (
        f'CREATE TABLE {table}_copied (session_id text COLLATE "C", id bigserial, role text NOT'
        " NULL, content text NOT NULL, metadata jsonb, PRIMARY KEY (session_id, id))"
    )
    drop = f"DROP TABLE IF EXISTS {table}, {table}_meta, {table}_calls, {table}_copied"
    select = "SELECT conversation_id, role, content, metadata FROM messages ORDER BY id"
    copy = f"\\copy {table}_copied (session_id, role, content, metadata) FROM STDIN CSV"
    dump = shlex.join(["sqlite3", "-csv", str(b.source), select])
    pipe = f"{dump} | {shlex.join([program('psql'), '-q', url, '-c', copy])}"
    try:
        yield b.compare(
            "migrate to PostgreSQL / sqlite3 | psql \\copy",
            _fresh(lambda: sql(drop), b.synmem("migrate", "-q", b.source, f"{url}?table={table}")),
            prepared(lambda: (sql(drop), sql(make), sync()), command(["sh", "-c", pipe])),
            first=0.4, goal=0.8, speed=True,
        )  # fmt: skip
    finally:
        sql(drop)


@benchmark
def redis(b: Bench) -> Iterator[Result]:
    """Against pipelines of RPUSH, one a conversation."""
    import redis as driver

    url, prefix = b.server("redis").url, unique("b") + ":"

    def clear() -> None:
        with driver.Redis.from_url(url) as client:
            keys = list(client.scan_iter(f"{prefix}*", count=10_000))
            for start in range(0, len(keys), 10_000):
                client.delete(*keys[start : start + 10_000])

    yield from _against(
        b, "Redis / pipelined RPUSH", clear, f"{url}?prefix={prefix}",
        ["REDIS_BULK", str(b.source), url, prefix], first=0.12, goal=0.2,
    )  # fmt: skip


@benchmark
def mongo(b: Bench) -> Iterator[Result]:
    """Against `insert_many` without order."""
    import pymongo

    url, name = b.server("mongo").url, unique("b")
    few = _few(b, MONGO_MESSAGES)

    def clear() -> None:
        with pymongo.MongoClient[dict[str, object]](url) as client:
            client.drop_database(name)

    yield from _against(
        few, f"MongoDB / insert_many, {few.messages:,}", clear, f"{url}?db_name={name}",
        ["MONGO_BULK", str(few.source), url, name], first=0.5, goal=0.8,
    )  # fmt: skip


@benchmark
def dynamodb(b: Bench) -> Iterator[Result]:
    """Against `batch_write_item` from as many threads as ours has."""
    import boto3

    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        os.environ.setdefault(key, "bench")  # DynamoDB Local takes anybody
    url, table = b.server("dynamodb").url, unique("b")
    few = _few(b, DYNAMODB_MESSAGES)

    def clear() -> None:
        client = boto3.client("dynamodb", "us-east-1", endpoint_url=url)
        for name in client.list_tables()["TableNames"]:
            if name.startswith(table):
                client.delete_table(TableName=name)
        client.close()

    yield from _against(
        few, f"DynamoDB / batch_write_item, {few.messages:,}", clear,
        f"dynamodb://us-east-1/{table}?endpoint_url={url}&create=true",
        ["DYNAMODB_BULK", str(few.source), url, f"{table}-bulk"], first=0.4, goal=0.8,
    )  # fmt: skip


@benchmark
def postgres_memory(b: Bench) -> Iterator[Result]:
    """Peak memory of a large `migrate` to PostgreSQL, in megabytes, against the bar of 150."""
    url, table = b.server("postgres").url, unique("b")
    count = b.messages * MEMORY_TIMES
    large = data.synapsekit_file(b.folder / "large.db", count, count // 20)
    try:
        peak = peak_mb(b.synmem("migrate", "-q", large, f"{url}?table={table}"))
    finally:
        psql(url, f"DROP TABLE IF EXISTS {table}, {table}_meta, {table}_calls")
        remove(large)
    yield Result(f"peak MB to PostgreSQL, {count:,} / 150", peak, 150, peak / 150, None, 1.0, 0.67, False)  # fmt: skip


def _few(b: Bench, most: int) -> Bench:
    """The same with no more messages than a server of that kind bears."""
    count = min(b.messages, most)
    few = Bench(b.folder, count, b.runs, b.stack)
    few.source = data.synapsekit_file(b.folder / f"few-{count}.db", count, count // 20)
    return few


def _against(
    b: Bench,
    name: str,
    clear: Callable[[], None],
    dest: str,
    bulk: list[str],
    *,
    first: float,
    goal: float,
) -> Iterator[Result]:
    """`migrate` to `dest` against a program of `native`; what both wrote is cleared."""
    ours = _fresh(clear, b.synmem("migrate", "-q", b.source, dest))
    theirs = prepared(lambda: (clear(), sync()), telling([*b.program(bulk[0]), *bulk[1:]]))
    try:
        yield b.compare(f"migrate to {name}", ours, theirs, first=first, goal=goal, speed=True)
    finally:
        clear()


def _fresh(clear: Callable[[], object], arguments: list[str]) -> Work:
    return prepared(lambda: (clear(), sync()), command(arguments))


def program(name: str) -> str:
    """Where a program is; Missing where it is not."""
    found = shutil.which(name)
    if found is None:
        raise Missing(f"no {name} on PATH")
    return found


def psql(url: str, statement: str) -> None:
    """Run a statement, or a command of psql's own."""
    subprocess.run([program("psql"), "-q", url, "-c", f"SET client_min_messages = error; {statement}"], check=True)  # fmt: skip
