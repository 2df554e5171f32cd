"""`make demo`: a chat database as SynapseKit makes it, and synmem's main job on it.

Prints each command before it runs it. Everything lies in a temporary folder.
"""

import contextlib
import json
import os
import shlex
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

SYNMEM = [sys.executable, "-m", "synmem"]

CHATS = {
    "user-1": [
        ("user", "What is SynapseKit?", {"source": "web"}),
        ("assistant", "An async-first Python framework for LLM applications.", None),
        ("user", "How do I install it?", None),
        ("assistant", "Run: pip install synapsekit", None),
        ("user", "Which stores can it keep conversations in?", None),
        ("assistant", "SQLite and Redis; synmem looks into both and moves them.", None),
    ],
    "user:42/ünïcode ✓": [
        ("user", "Grüße 👋 from Zürich. What's the weather?", None),
        ("assistant", "It is 21 °C and sunny.", {"tool": "get_weather"}),
    ],
    "ops": [
        ("system", "You are a terse assistant.", None),
        ("user", "The deploy failed with exit code 137.", None),
        ("assistant", "Out of memory: raise the limit or find the leak.", None),
    ],
}


def make_database(path: Path) -> None:
    """The table and rows that SynapseKit 2.0.1's SQLiteConversationMemory writes."""
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute(
            "CREATE TABLE messages (id INTEGER PRIMARY KEY AUTOINCREMENT, conversation_id TEXT"
            " NOT NULL, role TEXT NOT NULL, content TEXT NOT NULL, metadata TEXT)"
        )
        db.execute("CREATE INDEX idx_conv_id ON messages(conversation_id)")
        db.executemany(
            "INSERT INTO messages (conversation_id, role, content, metadata) VALUES (?, ?, ?, ?)",
            [
                (conversation, role, text, json.dumps(metadata) if metadata else None)
                for conversation, chat in CHATS.items()
                for role, text, metadata in chat
            ],
        )


def run(*arguments: str) -> None:
    """Print a command, run it, show what it prints."""
    print(f"\n$ synmem {shlex.join(arguments)}", flush=True)
    subprocess.run([*SYNMEM, *arguments], check=True)


def main() -> None:
    """The main job, on a fresh folder."""
    with tempfile.TemporaryDirectory(prefix="synmem-demo-") as folder:
        for name in ("CONFIG", "STATE", "DATA"):
            os.environ[f"XDG_{name}_HOME"] = str(Path(folder) / ".home")
        os.chdir(folder)
        make_database(Path("chat.db"))
        print("chat.db: as a SynapseKit program wrote it")
        run("ls", "chat.db")
        run("show", "chat.db", "user-1", "--last", "4")
        run("search", "chat.db", "memory limit")
        run("context", "chat.db", "user-1", "--strategy", "window", "--window", "2")
        run("add", "user-1", "Thanks!", "-p", "chat.db")
        run("export", "-p", "chat.db", "--seal", "-o", "chat.jsonl")
        run("import", "chat.jsonl", "-p", "copy.db")
        run("migrate", "chat.db", "moved.db")
        run("check", "chat.db", "moved.db")
        run("check", "chat.jsonl", "copy.db")
        run("clear", "ops", "-p", "moved.db", "--yes")
        run("undo")
        run("check", "chat.db", "moved.db")
        print("\nEvery message, exactly, in order.")


if __name__ == "__main__":
    main()
