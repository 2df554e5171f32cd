"""The data that is measured on: SQLite files as SynapseKit and synmem make them."""

import contextlib
import json
import random
import sqlite3
import subprocess
import sys
from pathlib import Path

WORDS = [
    "the",
    "of",
    "and",
    "to",
    "in",
    "is",
    "it",
    "you",
    "that",
    "was",
    "for",
    "on",
    "are",
    "with",
    "as",
    "they",
    "be",
    "at",
    "one",
    "have",
    "this",
    "from",
    "or",
    "had",
    "by",
    "hot",
    "but",
    "some",
    "what",
    "there",
    "we",
    "can",
    "out",
    "other",
    "were",
    "all",
    "your",
    "when",
    "up",
    "use",
    "word",
    "how",
    "said",
    "an",
    "each",
    "which",
    "do",
    "their",
    "time",
    "if",
    "will",
    "way",
    "about",
    "many",
    "then",
    "them",
    "would",
    "write",
    "like",
    "so",
    "these",
    "her",
    "long",
    "make",
]


def rows(messages: int, conversations: int) -> list[tuple[str, str, str, str | None]]:
    """Messages of about 110 characters, every fifth with metadata; conversation by conversation."""
    choose = random.Random(1)
    each = messages // conversations
    return [
        (
            f"user-{c:06}",
            "assistant" if n % 2 else "user",
            " ".join(choose.choices(WORDS, k=18)),
            json.dumps({"source": "web", "n": n}) if n % 5 == 0 else None,
        )
        for c in range(conversations)
        for n in range(each)
    ]


def synapsekit_file(path: Path, messages: int, conversations: int) -> Path:
    """A file as SynapseKit 2.0.1 writes it."""
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute(
            "CREATE TABLE messages (id INTEGER PRIMARY KEY AUTOINCREMENT, conversation_id TEXT"
            " NOT NULL, role TEXT NOT NULL, content TEXT NOT NULL, metadata TEXT)"
        )
        db.execute("CREATE INDEX idx_conv_id ON messages(conversation_id)")
        db.executemany(
            "INSERT INTO messages (conversation_id, role, content, metadata) VALUES (?, ?, ?, ?)",
            rows(messages, conversations),
        )
    return path


def own_file(path: Path, source: Path) -> Path:
    """The same messages in a file that synmem made."""
    subprocess.run(
        [sys.executable, "-m", "synmem", "migrate", "-q", str(source), str(path)], check=True
    )
    return path
