"""Run by the Python that has mem0: does what each line of its input asks, and answers in one.

This file imports nothing of the tests': its Python has none of it.
"""

import json
import sys
from typing import Any

from mem0.memory.storage import SQLiteManager


def add(path: str, scope: str, messages: Any) -> None:
    """Save messages, as `Memory.add` does."""
    manager = SQLiteManager(path)
    manager.save_messages(messages, scope)
    manager.close()


def read(path: str, scope: str) -> Any:
    """The last messages of a scope."""
    manager = SQLiteManager(path)
    found = manager.get_last_messages(scope)
    manager.close()
    return found


for line in sys.stdin:
    asked = json.loads(line)
    do = {"add": add, "read": read}[asked.pop("do")]
    try:
        answer: Any = {"said": do(**asked)}
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), flush=True)
