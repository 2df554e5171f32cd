"""DynamoDBMemory: conversations in a DynamoDB table."""

from synmem.memory.base import address, at_least_or_none, text
from synmem.memory.stored import StoredMemory


class DynamoDBMemory(StoredMemory):
    """Messages in a DynamoDB table (reference: DynamoDBMemory). Needs `synmem-cli[aws]`.

    The table must be there, unless `create` lets the first write make it, billed on demand.
    Credentials come from AWS's standard chain.

    >>> memory = DynamoDBMemory(table, "user-42", endpoint_url=endpoint, create=True)
    >>> asyncio.run(memory.add("user", "Hello!"))
    >>> asyncio.run(memory.get())
    [{'role': 'user', 'content': 'Hello!'}]
    >>> asyncio.run(memory.clear())
    """

    def __init__(
        self,
        table_name: str,
        session_id: str = "default",
        region: str = "us-east-1",
        max_messages: int | None = None,
        *,
        endpoint_url: str | None = None,
        create: bool = False,
    ) -> None:
        text(table_name=table_name, region=region)
        if endpoint_url is not None:
            address("https", "http", endpoint_url=endpoint_url)
        at_least_or_none(1, max_messages=max_messages)
        settings = {
            "table_name": table_name, "region": region, "endpoint_url": endpoint_url,
            "create": create or None,
        }  # fmt: skip
        super().__init__("dynamodb", settings, session_id, max_messages)
