"""`synmem add`."""
from typing import Annotated
import typer
from synmem.cli.run import Session, command

@command
async def add(session: Session, conversation: Annotated[str, typer.Argument()], text: Annotated[str|None, typer.Argument()] = None) -> None:
    """Append one message."""
    print(session, conversation, text)
