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
    start = time.perf_counter(), time.process_time()
    for n in range(count):
        memory.add("user", f"message {n}")
    end = time.perf_counter(), time.process_time()
    memory.close()
else:
    import asyncio
    from synmem.backends import open_store
    from synmem.messages import Conversation, Message
    from synmem.store import Part
    async def main():
        async with open_store("sqlite", {"db_path": path}, write=True) as store:
            start = time.perf_counter(), time.process_time()
            for n in range(count):
                await store.append([Part(Conversation("c"), [Message("user", f"message {n}")])])
            return start, (time.perf_counter(), time.process_time())
    start, end = asyncio.run(main())
print(end[0] - start[0], end[1] - start[1])
"""

_SOURCE = """
import itertools, json, sqlite3, sys, time
db = sqlite3.connect(sys.argv[1])
rows = db.execute("SELECT conversation_id, role, content, metadata FROM messages"
                  " ORDER BY conversation_id, id").fetchall()
db.close()
def spent():
    return time.perf_counter(), time.process_time()
"""

_TELL = """
print(*(after - before for before, after in zip(start, spent())))
"""

REDIS_BULK = (
    _SOURCE
    + """
import redis
client, prefix = redis.Redis.from_url(sys.argv[2]), sys.argv[3]
lists = {}
for conversation, role, content, metadata in rows:
    item = {"role": role, "content": content}
    if metadata:
        item["metadata"] = json.loads(metadata)
    lists.setdefault(conversation, []).append(json.dumps(item).encode())
keys = [(f"{prefix}{name}:messages".encode(), items) for name, items in lists.items()]
start = spent()
for at in range(0, len(keys), 250):
    pipeline = client.pipeline(transaction=False)
    for key, items in keys[at : at + 250]:
        pipeline.rpush(key, *items)
    pipeline.sadd(prefix + "conversations", *list(lists)[at : at + 250])
    pipeline.execute()
"""
    + _TELL
)

MONGO_BULK = (
    _SOURCE
    + """
import pymongo
collection = pymongo.MongoClient(sys.argv[2])[sys.argv[3]]["copied"]
collection.create_index([("session_id", 1), ("n", 1)], unique=True)
documents = []
for name, group in itertools.groupby(rows, key=lambda row: row[0]):
    for n, (_, role, content, metadata) in enumerate(group, 1):
        document = {"session_id": name, "n": n, "role": role, "content": content}
        if metadata:
            document["metadata"] = json.loads(metadata)
        documents.append(document)
start = spent()
for at in range(0, len(documents), 5000):
    collection.insert_many(documents[at : at + 5000], ordered=False)
"""
    + _TELL
)

DYNAMODB_BULK = (
    _SOURCE
    + """
from concurrent.futures import ThreadPoolExecutor
import boto3, botocore.config
table = sys.argv[3]
config = botocore.config.Config(max_pool_connections=16)
client = boto3.client("dynamodb", "us-east-1", endpoint_url=sys.argv[2], config=config)
keys = {"session_id": ("S", "HASH"), "n": ("N", "RANGE")}
client.create_table(
    TableName=table, BillingMode="PAY_PER_REQUEST",
    AttributeDefinitions=[{"AttributeName": k, "AttributeType": t} for k, (t, _) in keys.items()],
    KeySchema=[{"AttributeName": k, "KeyType": how} for k, (_, how) in keys.items()],
)
puts = []
for name, group in itertools.groupby(rows, key=lambda row: row[0]):
    for n, (_, role, content, metadata) in enumerate(group, 1):
        item = {"session_id": {"S": name}, "n": {"N": str(n)}, "role": {"S": role},
                "content": {"S": content}}
        if metadata:
            known = json.loads(metadata)
            item["metadata"] = {"M": {"source": {"S": known["source"]}, "n": {"N": str(known["n"])}}}
        puts.append({"PutRequest": {"Item": item}})
def write(at):
    left = {table: puts[at : at + 25]}
    while left:
        left = client.batch_write_item(RequestItems=left)["UnprocessedItems"]
start = spent()
with ThreadPoolExecutor(16) as pool:
    list(pool.map(write, range(0, len(puts), 25)))
"""
    + _TELL
)


_SESSIONS = """
import sqlite3, sys, time
db = sqlite3.connect(sys.argv[1])
sessions = [row[0] for row in db.execute("SELECT DISTINCT session_id FROM {}")]
db.close()
def spent():
    return time.perf_counter(), time.process_time()
"""

LANGCHAIN_READ = (
    _SESSIONS.format("message_store")
    + """
from langchain_community.chat_message_histories import SQLChatMessageHistory
from sqlalchemy import create_engine
engine = create_engine(f"sqlite:///{sys.argv[1]}")
start = spent()
for session in sessions:
    for message in SQLChatMessageHistory(session, connection=engine).messages:
        message.content
"""
    + _TELL
)

AGENTS_READ = (
    _SESSIONS.format("agent_messages")
    + """
import asyncio
from agents import SQLiteSession
async def main():
    for name in sessions:
        session = SQLiteSession(name, sys.argv[1])
        await session.get_items()
        session.close()
start = spent()
asyncio.run(main())
"""
    + _TELL
)
