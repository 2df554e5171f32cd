"""MongoMemory: conversations in a MongoDB collection."""

from synmem.memory.base import address, at_least_or_none, text
from synmem.memory.stored import StoredMemory


class MongoMemory(StoredMemory):
    """Messages in a MongoDB collection (reference: MongoMemory). Needs `synmem-cli[mongo]`.

    >>> memory = MongoMemory(uri, session_id="user-42")
    >>> asyncio.run(memory.add("user", "Hello!"))
    >>> asyncio.run(memory.get())
    [{'role': 'user', 'content': 'Hello!'}]
    >>> asyncio.run(memory.clear())
    """

    def __init__(
        self,
        uri: str = "mongodb://localhost:27017",
        db_name: str = "synapsekit",
        collection_name: str = "conversations",
        session_id: str = "default",
        max_messages: int | None = None,
    ) -> None:
        address("mongodb", "mongodb+srv", uri=uri)
        text(db_name=db_name, collection_name=collection_name)
        at_least_or_none(1, max_messages=max_messages)
        settings = {"uri": uri, "db_name": db_name, "collection_name": collection_name}
        super().__init__("mongo", settings, session_id, max_messages)
