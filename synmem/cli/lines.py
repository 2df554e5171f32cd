"""How an id stands on a line of what `--dry-run` lists, for programs that read it."""

from synmem.cli import render
from synmem.messages import dump_json


def id_on_line(conversation: str) -> str:
    """The id as it is; as a JSON string where a line cannot carry it so that it is known again: it
    holds what is not seen, begins or ends with a blank, or begins with a quote."""
    plain = (
        conversation.strip() == conversation
        and not conversation.startswith('"')
        and render.visible_line(conversation) == conversation
    )
    return conversation if plain else render.json_for_terminal(dump_json(conversation)).decode()


def listed(conversation: str, *fields: str) -> None:
    """A line of these fields and then the id, tabs between them."""
    render.line("\t".join([*fields, id_on_line(conversation)]))
