"""Chainlit's data layers: `threads` and `steps` of SQLAlchemy's, `"Thread"` and `"Step"` of the
official one (Prisma), with files in `elements` and ratings in `feedbacks`.

A step is a message of the user, of the assistant or of the system, whose text is its `output`; or a
tool's run: a call, with the step's id, and its result. Others only wrap these, and are none. Their
order is that of `createdAt`, which is text in UTC, and then `start`; Prisma's that of `startTime`.
What has no word of ours lies in `extra["chainlit"]` under its own key.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from synmem.layouts.foreign import runs
from synmem.layouts.foreign.tables import Tables, about_of, beside, objects, told_row
from synmem.layouts.foreign.values import (
    kept,
    parsed,
    take_time,
    text_of,
    text_or_none,
    time_of,
)
from synmem.layouts.shapes import Plan, Record, Sketch, Told, Whole
from synmem.messages import Holds, JSONObject, Message

NAME: Final = "chainlit"
TITLE: Final = "Chainlit"

HOLDS: Final = Holds(fields=runs.FIELDS, own=False, extra_of=NAME)

_ROLES: Final = {
    "user_message": "user", "assistant_message": "assistant", "system_message": "system",
}  # fmt: skip


_SAYS: Final = f"CAST(t.type AS TEXT) IN ({', '.join(map(repr, ('tool', *_ROLES)))})"
"""Whether a step is a message, or a tool's run."""


def _plan(backend: str, names: Mapping[str, str], sketch: Sketch) -> Plan:
    tables = Tables(backend, sketch)
    threads, steps = names["threads"], names["steps"]
    live = 't."deletedAt" IS NULL' if tables.has(threads, "deletedAt") else ""
    queries = {
        "threads": tables.rows(threads, "id", where=live),
        "steps": tables.rows(steps, "threadId"),
    }
    if tables.has(names["elements"], "threadId"):
        queries["elements"] = tables.rows(names["elements"], "threadId")
    if tables.has(names["feedbacks"], names["of_step"]):
        step = f't."{names["of_step"]}"'
        queries["feedbacks"] = tables.rows(
            names["feedbacks"],
            "threadId",
            owner=steps,
            join=f'JOIN "{steps}" AS o ON o.id = {step}',
        )
    listing = f'SELECT {tables.text("t.id")} AS id FROM "{threads}" AS t'
    return Plan(
        listing=f"{listing} WHERE {live}" if live else listing,
        queries=queries,
        strays=tables.ownerless(steps, "threadId", threads, where=_SAYS),
    )


def unfold(
    conversation: str, found: Mapping[str, Sequence[Record]], *, of_step: str = "forId"
) -> Told:
    """What the thread of that id says."""
    about, messages = about_of(found.get("threads", ()), "thread", conversation)
    if about is None:
        return Told(messages=[])
    elements = beside(found.get("elements", ()), of_step)
    feedbacks = beside(found.get("feedbacks", ()), of_step)
    for step in sorted(objects(found.get("steps", ())), key=_moment):
        messages += told_row("step", step, _messages, elements, feedbacks)
    shown = {
        each.extra[NAME]["id"] for each in messages if isinstance(each, Message) and each.extra
    }
    about["elements"] = [
        kept({**each, of_step: step})
        for step, some in elements.items()
        for each in some
        if step not in shown
    ] or None
    title = text_or_none(about.pop("name", None))
    about["metadata"] = parsed(about.get("metadata")) or None
    left = kept(about, {"id"})
    return Told(messages=messages, title=title, extra={NAME: left} if left else None)


def _moment(step: JSONObject | ValueError) -> list[tuple[datetime, str]]:
    """What steps are sorted by: times, of which the text alone would missort those that have no
    fraction of a second."""
    there = {} if isinstance(step, ValueError) else step
    keys = ("startTime", "createdAt") if "startTime" in there else ("createdAt", "start")
    texts = [str(there.get(key) or "") for key in keys]
    return [(time_of(text, utc=True) or _NEVER, text) for text in texts]


_NEVER: Final = datetime.min.replace(tzinfo=UTC)


# --- a step ---------------------------------------------------------------------------------

_Beside = Mapping[Any, Sequence[JSONObject]]


def _messages(left: JSONObject, elements: _Beside, feedbacks: _Beside) -> list[Message]:
    """The messages of a step, none where it only wraps others."""
    kind, id_ = text_of(left.pop("type", None), "its type"), text_or_none(left.pop("id", None))
    if kind != "tool" and kind not in _ROLES:
        return []
    left["feedback"] = [kept(each) for each in feedbacks.get(id_, ())] or None
    files = [_element(each) for each in elements.get(id_, ())]
    at = take_time(left, "startTime" if "startTime" in left else "createdAt", utc=True)
    output = left.pop("output", None)
    pieces: list[runs.Piece]
    if kind == "tool":
        name = text_or_none(left.pop("name", None))
        pieces = [runs.Call(id_, name, runs.arguments_of(left.pop("input", None))), *files]
        if output is not None:
            pieces.append(runs.Result(id_, name, text_of(output, "its output")))
    else:
        pieces = [runs.Text("" if output is None else text_of(output, "its output")), *files]
        if left.get("input") == "":  # a message has none
            left.pop("input")
    for key in ("metadata", "generation", "modes"):
        left[key] = parsed(left.get(key)) or None
    return runs.messages_of(
        pieces, NAME, role=_ROLES.get(kind, "assistant"), created_at=at,
        record={"id": id_}, extra=kept(left, {"threadId"}),
    )  # fmt: skip


def _element(element: JSONObject) -> runs.Piece:
    """A file of a step; an image by its URL, or by its key in the app's own storage."""
    own = {"type": "element", "element": kept(element, {"threadId"})}
    place = element.get("url") or element.get("objectKey") or element.get("chainlitKey")
    kind, mime = element.get("type"), str(element.get("mime"))
    is_image = kind == "image" or (kind is None and mime.startswith("image/"))
    if is_image and isinstance(place, str):
        return runs.Image(place, own)
    return runs.File(own)


# --- where it lies --------------------------------------------------------------------------

_SQLALCHEMY: Final = {
    "threads": "threads", "steps": "steps", "elements": "elements", "feedbacks": "feedbacks",
    "of_step": "forId",
}  # fmt: skip
_PRISMA: Final = {
    "threads": "Thread", "steps": "Step", "elements": "Element", "feedbacks": "Feedback",
    "of_step": "stepId",
}  # fmt: skip


def _sqlalchemy(backend: str) -> Whole:
    return Whole(
        tables={
            "threads": frozenset({"id", "name", "createdAt", "userId", "metadata"}),
            "steps": frozenset({"id", "threadId", "type", "output", "createdAt", "start"}),
        },
        version="SQLAlchemy's",
        plan=partial(_plan, backend, _SQLALCHEMY),
        unfold=unfold,
        holds=HOLDS,
    )


_OFFICIAL: Final = Whole(
    tables={
        "Thread": frozenset({"id", "name", "userId", "metadata", "deletedAt"}),
        "Step": frozenset({"id", "threadId", "type", "output", "startTime"}),
    },
    version="the official one",
    plan=partial(_plan, "postgres", _PRISMA),
    unfold=partial(unfold, of_step="stepId"),
    holds=HOLDS,
)

SHAPES: Final = {
    "postgres": (_sqlalchemy("postgres"), _OFFICIAL),
    "sqlite": (_sqlalchemy("sqlite"),),
}
