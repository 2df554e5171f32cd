"""The real LangChain, with boto3."""

import contextlib
from collections.abc import Iterator

from tests.services import framework
from tests.services.framework import Framework

PACKAGES = (
    "langchain-community==0.4.2", "langchain-core==1.7.2", "greenlet", "boto3==1.40.61",
)  # fmt: skip


@contextlib.contextmanager
def langchain_dynamodb() -> Iterator[Framework]:
    """It, until the end."""
    with framework.running(PACKAGES, "langchain_dynamodb_program.py") as running:
        yield running
