"""opencode: `session`, `message` and `part` of its SQLite file, what OpenCode 2 writes to the same
file, `session_v2` and `session_message`, and the folders of JSON files of before 1.2.

Of version 1 a row of `message` is a step, and its rows of `part` say all: text, reasoning, files,
calls with their results. In version 2 a row is whole, and its kind is in `type`. A session that is
in both is what version 2 has of it, where it has any of it. What the program added to a prompt by
itself is not listed, nor what only the model was shown. Where a session was reverted, what was
undone is another branch until the next prompt removes it, and `reverted` says how many messages
that are. A sub-agent's session is a conversation of its own; its `parent_id`, in files `parentID`,
names the one that asked.

What has no word of ours lies in `extra["opencode"]` under its own key, that of a part in `blocks`.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from synmem.layouts.foreign.opencode_files import FILES
from synmem.layouts.foreign.opencode_steps import HOLDS, Part, Step, session
from synmem.layouts.foreign.sql import lowered, ownerless
from synmem.layouts.foreign.tables import Tables, about_of
from synmem.layouts.foreign.values import json_of, object_of, parsed
from synmem.layouts.shapes import Plan, Record, Sketch, Told, Whole
from synmem.messages import JSONObject

TITLE: Final = "opencode"


_JSON: Final = ("revert", "summary_diffs", "metadata", "permission", "model", "fork_boundary")
"""Columns of a session that are JSON."""

_SESSION: Final = frozenset({"id", "slug", "title", "version", "directory"})
_V1: Final = {
    "session": _SESSION,
    "message": frozenset({"id", "session_id", "time_created", "data"}),
    "part": frozenset({"id", "message_id", "data"}),
}
_V2: Final = {
    "session_v2": _SESSION,
    "session_message": frozenset({"id", "session_id", "type", "seq", "data"}),
}

_IN_V1: Final = "EXISTS (SELECT 1 FROM message AS o WHERE o.session_id = t.session_id)"
_IN_V2: Final = " AND ".join(
    f"EXISTS (SELECT 1 FROM {table} AS o WHERE o.{key} = t.session_id)"
    for table, key in (("session_v2", "id"), ("session_message", "session_id"))
)
"""Whether the session of a row is in that version: of both, the second has what is new."""


def _plan(sketch: Sketch) -> Plan:
    there = lowered(sketch)
    owners: list[str] = [each for each in ("session_v2", "session") if each in there]
    queries = {each: Tables("sqlite", sketch).rows(each, "id") for each in owners}
    strays: list[str] = []
    if "part" in there:
        queries |= _steps(f"NOT ({_IN_V2})" if "session_v2" in there else "1")
        strays.append(ownerless("message", "session_id", "session"))
        strays.append(ownerless("part", "message_id", "message"))
    if there.get("session_message", {}).keys() >= _V2["session_message"]:
        wanted = [_IN_V2] if "session_v2" in there else []
        wanted += [f"NOT {_IN_V1}"] if "message" in there else []
        queries["v2"] = (
            "SELECT t.session_id, t.id, t.type, t.data FROM session_message AS t "
            f"WHERE t.session_id IN {{ids}} AND ({' OR '.join(wanted)}) ORDER BY t.seq, t.rowid"
        )
        other = "NOT EXISTS (SELECT 1 FROM session AS o WHERE o.id = t.session_id)"
        where = other if len(owners) > 1 else ""
        strays.append(ownerless("session_message", "session_id", owners[0], where=where))
    listing = " UNION ".join(f"SELECT id FROM {each}" for each in owners)
    return Plan(listing=listing, queries=queries, strays=" UNION ALL ".join(strays))


def _steps(where: str) -> dict[str, str]:
    """The queries of version 1."""
    of = f"t.session_id IN {{ids}} AND {where}"
    return {
        "messages": "SELECT t.session_id, t.id, t.time_created, t.data FROM message AS t "
        f"WHERE {of} ORDER BY t.time_created, t.id",
        "parts": "SELECT t.session_id, p.message_id, p.id, p.data FROM message AS t "
        f"JOIN part AS p ON p.message_id = t.id WHERE {of} ORDER BY p.id",
    }


def unfold(conversation: str, found: Mapping[str, Sequence[Record]]) -> Told:
    """What the session of that id says, from its rows."""
    rows = found.get("session_v2") or found.get("session", ())
    about, first = about_of(rows, "session", conversation)
    if about is None:
        return Told(messages=[])
    parts: defaultdict[Any, list[Part]] = defaultdict(list)
    for message, id_, data in found.get("parts", ()):
        parts[message].append(Part(id_, _object(data)))
    steps = [
        Step(id_, _timed(_object(data), at), parts[id_])
        for id_, at, data in found.get("messages", ())
    ] + [Step(id_, _object(data), (), str(kind)) for id_, kind, data in found.get("v2", ())]
    told = session(about | {key: parsed(about[key]) for key in _JSON if key in about}, steps)
    return Told(
        messages=[*first, *told.messages],
        title=told.title,
        extra=told.extra,
        branches={leaf: [*first, *said] for leaf, said in told.branches.items()},
        leaf=told.leaf,
    )


def _object(text: Any) -> JSONObject | ValueError:
    try:
        return object_of(json_of(text, "its data"), "its data")
    except ValueError as error:
        return error


def _timed(data: JSONObject | ValueError, at: Any) -> JSONObject | ValueError:
    """With the row's own time, where it says none."""
    return data if isinstance(data, ValueError) else {"time": {"created": at}, **data}


def _shape(version: str, tables: Mapping[str, frozenset[str]], without: str = "") -> Whole:
    return Whole(
        tables=tables,
        without=frozenset({without} if without else ()),
        version=version,
        plan=_plan,
        unfold=unfold,
        holds=HOLDS,
    )


SHAPES: Final = {
    "sqlite": (
        _shape("version 1", _V1, without="session_v2"),
        _shape("version 2", _V2, without="part"),
        _shape("versions 1 and 2", {**_V2, **_V1}),
    ),
    "file": (FILES,),
}
