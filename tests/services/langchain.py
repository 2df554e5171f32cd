"""The real LangChain."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.services import framework
from tests.services.framework import Framework

PACKAGES = ("langchain-community==0.4.2", "langchain-core==1.7.2", "greenlet")
"""Those that wrote the fixtures."""

POSTGRES = (*PACKAGES, "langchain-postgres==0.0.19", "psycopg[binary]")

LangChain = Framework


@contextlib.contextmanager
def langchain() -> Iterator[LangChain]:
    """It, until the end."""
    with framework.running(PACKAGES, "langchain_program.py") as running:
        yield running


@contextlib.contextmanager
def langchain_on_postgres() -> Iterator[LangChain]:
    """It and its histories on PostgreSQL, until the end."""
    with framework.running(POSTGRES, "langchain_postgres_program.py") as running:
        yield running


def installed() -> Path:
    """The Python that has it."""
    return framework.installed(PACKAGES)
