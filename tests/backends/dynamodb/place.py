"""Where the tests of the DynamoDB store keep their tables."""

import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from botocore.session import Session

from synmem.backends.dynamodb.store import open as open_dynamodb
from tests.conformance import PAGE_SIZE
from tests.services import unique

SECRET = "s3cr3t/key+of=ours"
_SESSION = Session()
"""Of every client of the tests' own: it reads what AWS's services are once."""


def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some that any DynamoDB Local takes, in the environment; and no others are sought."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@contextlib.asynccontextmanager
async def opened(
    url: str, table: str, *, write: bool = True, page_size: int = PAGE_SIZE, **settings: Any
) -> AsyncIterator[Any]:
    given = {"table_name": table, "region": "us-east-1", "endpoint_url": url, **settings}
    store = await open_dynamodb(given, write=write, page_size=page_size)
    try:
        yield store
    finally:
        await store.close()


@contextlib.contextmanager
def client(url: str) -> Iterator[Any]:
    """The driver itself."""
    made = _SESSION.create_client(
        "dynamodb", region_name="us-east-1", endpoint_url=url,
        aws_access_key_id="test", aws_secret_access_key=SECRET,
    )  # fmt: skip
    try:
        yield made
    finally:
        made.close()


@contextlib.contextmanager
def own_table(url: str) -> Iterator[str]:
    """A name for a table, which is dropped at the end where the server is the user's."""
    name = unique()
    try:
        yield name
    finally:
        if os.environ.get("SYNMEM_TEST_DYNAMODB_URL"):
            _drop(url, name)


def _drop(url: str, name: str) -> None:
    with client(url) as boto, contextlib.suppress(boto.exceptions.ResourceNotFoundException):
        boto.delete_table(TableName=name)


def plain_table(url: str, name: str, **keys: str) -> None:
    """A table that somebody else made: with our keys, or these, and without our index."""
    keys = keys or {"session_id": "S", "n": "N"}
    with client(url) as boto:
        boto.create_table(
            TableName=name,
            AttributeDefinitions=[
                {"AttributeName": n, "AttributeType": t} for n, t in keys.items()
            ],
            KeySchema=[
                {"AttributeName": n, "KeyType": kind}
                for n, kind in zip(keys, ("HASH", "RANGE"), strict=False)
            ],
            BillingMode="PAY_PER_REQUEST",
        )


def raw_items(url: str, table: str) -> list[dict[str, Any]]:
    """Every item of a small table, in the order of the sort key."""
    with client(url) as boto:
        found = boto.scan(TableName=table, ConsistentRead=True)["Items"]
    return sorted(found, key=lambda item: float(item["n"]["N"]))


def put_raw(url: str, table: str, conversation: str, n: str, **attributes: Any) -> None:
    """An item as another program would write it."""
    with client(url) as boto:
        boto.put_item(
            TableName=table,
            Item={"session_id": {"S": conversation}, "n": {"N": n}, **attributes},
        )
