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
    # Renumbered, as into a file that may hold other conversations; with SELECT * into an empty
    # table of the same schema SQLite would copy whole pages instead of rows.
    db.execute("INSERT INTO messages (conversation_id, role, content, metadata)"
               " SELECT conversation_id, role, content, metadata FROM source.messages ORDER BY id")
db.close()
"""

SELECT = """
import json, sqlite3, sys
db = sqlite3.connect(sys.argv[1])
cursor = db.execute(sys.argv[2])
names = [column[0] for column in cursor.description]
if len(names) == 1:
    sys.stdout.writelines(f"{row[0]}\\n" for row in cursor)
else:
    sys.stdout.write(json.dumps([dict(zip(names, row)) for row in cursor]))
"""

DISTINCT = "SELECT DISTINCT conversation_id FROM messages"

GROUP = """
SELECT c AS conversation_id, n AS messages,
  (SELECT created_at FROM messages WHERE id = low) AS first_at,
  (SELECT created_at FROM messages WHERE id = high) AS last_at
FROM (SELECT conversation_id AS c, count(*) AS n, min(id) AS low, max(id) AS high
      FROM messages GROUP BY conversation_id)
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
