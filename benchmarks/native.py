"""The shortest programs that do the same work: what synmem is measured against."""

TYPER = """
import typer
app = typer.Typer()

@app.command()
def hello(name: str = "world"):
    print("hello", name)

@app.command()
def bye():
    print("bye")

app()
"""

IMPORT_LOOP = """
import json, sqlite3, sys
db = sqlite3.connect(sys.argv[2])
db.execute("CREATE TABLE messages (id INTEGER PRIMARY KEY AUTOINCREMENT, conversation_id TEXT"
           " NOT NULL, role TEXT NOT NULL, content TEXT NOT NULL, metadata TEXT)")
db.execute("CREATE INDEX idx_conv_id ON messages(conversation_id)")
def rows():
    for line in open(sys.argv[1], encoding="utf-8", newline="\\n"):
        m = json.loads(line)
        metadata = json.dumps(m["metadata"]) if "metadata" in m else None
        yield m["conversation_id"], m["role"], m["content"], metadata
with db:
    db.executemany("INSERT INTO messages (conversation_id, role, content, metadata)"
                   " VALUES (?, ?, ?, ?)", rows())
db.close()
"""

ATTACH = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[2])
db.execute("CREATE TABLE messages (id INTEGER PRIMARY KEY AUTOINCREMENT, conversation_id TEXT"
           " NOT NULL, role TEXT NOT NULL, content TEXT NOT NULL, metadata TEXT)")
db.execute("CREATE INDEX idx_conv_id ON messages(conversation_id)")
db.execute("ATTACH ? AS source", (sys.argv[1],))
with db:
    db.execute("INSERT INTO messages SELECT * FROM source.messages")
db.close()
"""

ADD_LOOP = """
import sys, time
path, how, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
if how == "synapsekit":
    from synapsekit.memory.sqlite import SQLiteConversationMemory
    memory = SQLiteConversationMemory(path, conversation_id="c")
    start = time.perf_counter()
    for n in range(count):
        memory.add("user", f"message {n}")
    seconds = time.perf_counter() - start
    memory.close()
else:
    import asyncio
    from synmem.backends import open_store
    from synmem.messages import Conversation, Message
    from synmem.store import Part
    async def main():
        async with open_store("sqlite", {"db_path": path}, write=True) as store:
            start = time.perf_counter()
            for n in range(count):
                await store.append([Part(Conversation("c"), [Message("user", f"message {n}")])])
            return time.perf_counter() - start
    seconds = asyncio.run(main())
print(seconds)
"""
