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


def langchain_file(path: Path, messages: int, conversations: int) -> Path:
    """A file as SQLChatMessageHistory of langchain-community 0.4.2 writes it."""
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute(
            "CREATE TABLE message_store (\n\tid INTEGER NOT NULL, \n\tsession_id TEXT, "
            "\n\tmessage TEXT, \n\tPRIMARY KEY (id)\n)"
        )
        db.executemany(
            "INSERT INTO message_store (session_id, message) VALUES (?, ?)",
            [
                (name, _langchain(role, text))
                for name, role, text, _ in rows(messages, conversations)
            ],
        )
    return path


def _langchain(role: str, text: str) -> str:
    kind = "ai" if role == "assistant" else "human"
    about = {"content": text, "additional_kwargs": {}, "response_metadata": {}, "type": kind}
    calls = {"tool_calls": [], "invalid_tool_calls": [], "usage_metadata": None}
    own = {"name": None, "id": None, **(calls if kind == "ai" else {})}
    return json.dumps({"type": kind, "data": {**about, **own}})


def agents_file(path: Path, messages: int, conversations: int) -> Path:
    """A file as SQLiteSession of openai-agents 0.24.0 writes it."""
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(
            "CREATE TABLE agent_sessions (session_id TEXT PRIMARY KEY, created_at TIMESTAMP DEFAULT"
            " CURRENT_TIMESTAMP, updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP)"
        )
        db.execute(
            "CREATE TABLE agent_messages (id INTEGER PRIMARY KEY AUTOINCREMENT, session_id TEXT NOT"
            " NULL, message_data TEXT NOT NULL, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP)"
        )
        db.execute("CREATE INDEX idx_agent_messages_session_id ON agent_messages (session_id, id)")
        db.executemany(
            "INSERT INTO agent_messages (session_id, message_data) VALUES (?, ?)",
            [
                (name, _item(role, text, n))
                for n, (name, role, text, _) in enumerate(rows(messages, conversations))
            ],
        )
        db.execute(
            "INSERT INTO agent_sessions (session_id) SELECT DISTINCT session_id FROM agent_messages"
        )
    return path


def _item(role: str, text: str, number: int) -> str:
    if role == "user":
        return json.dumps({"content": text, "role": role})
    content = [{"annotations": [], "text": text, "type": "output_text", "logprobs": []}]
    item = {"id": f"msg_{number:048}", "content": content, "role": role, "status": "completed"}
    return json.dumps({**item, "type": "message"})


def own_file(path: Path, source: Path) -> Path:
    """The same messages in a file that synmem made."""
    subprocess.run(
        [sys.executable, "-m", "synmem", "migrate", "-q", str(source), str(path)], check=True
    )
    return path
