"""Permissions bind everybody but root: tests of them run as nobody where root runs the tests."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def as_nobody() -> Iterator[Path]:
    """A folder of its own, as somebody whom permissions bind (root is not)."""
    with tempfile.TemporaryDirectory(prefix="synmem-test-") as name:
        folder = Path(name)
        root = os.geteuid() == 0
        if root:
            os.chown(folder, 65534, 65534)
            os.seteuid(65534)
        try:
            yield folder
        finally:
            folder.chmod(0o755)
            if root:
                os.seteuid(0)
