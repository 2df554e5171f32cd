"""The real langchain-mongodb."""

import contextlib
from collections.abc import Iterator

from tests.services import framework
from tests.services.framework import Framework

PACKAGES = ("langchain-mongodb==0.12.1", "langchain-core==1.7.2")
"""Those that wrote the fixture, but for its container, which was langchain-community's then."""


@contextlib.contextmanager
def langchain_mongodb() -> Iterator[Framework]:
    """It, until the end."""
    with framework.running(PACKAGES, "langchain_mongodb_program.py") as running:
        yield running
