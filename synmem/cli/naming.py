"""`--id-as`: what the conversations of this machine, or of one program, are called elsewhere."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from synmem.operations.moving.naming import Naming, Template
    from synmem.store import Store


def template_of(id_as: str | None) -> "Template | None":
    """The template that was asked for; UsageError where it is none."""
    if id_as is None:
        return None
    from synmem.operations.moving.naming import template

    return template(id_as)


def naming_of(template: "Template | None", source: "Store", backend: str, profile: str) -> "Naming":
    """What the conversations of a source are called in the destination."""
    from synmem.operations.moving.naming import PLAIN, layout_of

    if template is None:
        return PLAIN
    import socket

    host = socket.gethostname().partition(".")[0] or "localhost"
    layout = layout_of(source) or backend
    return template.naming({"host": host, "layout": layout, "profile": profile})
