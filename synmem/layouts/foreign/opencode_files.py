"""opencode before 1.2: a JSON file for each session, each step and each part, called as these.

`session/PROJECT/SESSION.json`, `message/SESSION/MESSAGE.json` and `part/MESSAGE/PART.json` lie in
one folder, `storage`. Names say whose a file is: one that was moved has its old ids in it. The
files are still there after the program has brought them into its SQLite file.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from synmem.layouts.foreign.named_files import stem
from synmem.layouts.foreign.opencode_steps import HOLDS, Part, Step, session
from synmem.layouts.foreign.values import object_of, time_of
from synmem.layouts.heads import Head
from synmem.layouts.shapes import Files, Folder, Told
from synmem.messages import JSONObject, Unreadable, parse_json

_FILE: Final = re.compile(
    r"(?P<storage>(?:.*/)?)(?P<kind>session|message|part)/(?P<owner>[^/]+)/(?P<id>[^/]+)\.json"
)


class _Place(NamedTuple):
    """Where a file lies: in which `storage`, and of what it is which."""

    storage: str
    kind: str
    owner: str
    """Of a session its project, of a message its session, of a part its message."""
    id: str


def _places(names: Iterable[str]) -> dict[str, _Place]:
    found = ((name, _FILE.fullmatch(name)) for name in names)
    return {name: _Place(*part.groups()) for name, part in found if part}


def group(names: Sequence[str]) -> dict[str, list[str]]:
    """The files of each session in which something was said, by its own, if that is there. It
    comes last: the program writes it anew all the time, and a step once."""
    places = _places(names)
    parts: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for name, place in places.items():
        if place.kind == "part":
            parts[place.storage, place.owner].append(name)
    sessions: dict[tuple[str, str], str] = {}
    messages: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for name, place in places.items():
        if place.kind == "session":
            sessions.setdefault((place.storage, place.id), name)
        elif place.kind == "message":
            messages[place.storage, place.owner] += [name, *parts[place.storage, place.id]]
    groups = {}
    for key, files in messages.items():
        own = sessions.get(key)
        groups[own or files[0]] = [*files, own] if own else files
    return groups


def unfold(files: Files) -> dict[str, Told]:
    """The conversation of a session."""
    places = _places(files.data)
    parts: defaultdict[str, list[Part]] = defaultdict(list)
    steps: list[Step] = []
    about: JSONObject = {}
    damaged: list[Unreadable] = []
    id_ = stem(files.name)
    for name, (_, kind, owner, called) in sorted(places.items(), key=lambda each: each[1]):
        data = _object(name, files.data[name])
        if kind == "part":
            parts[owner].append(Part(called, data))
        elif kind == "message":
            steps.append(Step(called, data))
            id_ = owner
        elif isinstance(data, ValueError):
            damaged.append(Unreadable(name, str(data)))
        else:
            about = data
    steps = [each._replace(parts=parts[each.id]) for each in _ordered(steps)]
    told = session(about, steps)
    if not steps:
        return {}
    return {
        id_: Told(
            messages=[*damaged, *told.messages],
            title=told.title,
            extra=told.extra,
            branches={leaf: [*damaged, *said] for leaf, said in told.branches.items()},
            leaf=told.leaf,
        )
    }


def _ordered(steps: Sequence[Step]) -> list[Step]:
    """By their times, and by their ids, which grow too; one that says no time stands behind the
    one before it by its id."""
    found: list[tuple[Any, Step]] = []
    before = None
    for step in sorted(steps, key=lambda each: str(each.id)):
        before = _created(step.data) or before
        found.append((before, step))
    first = next((at for at, _ in found if at is not None), None)
    return [step for _, step in sorted(found, key=lambda each: each[0] or first or 0)]


def _created(data: JSONObject | ValueError) -> Any:
    time = data.get("time") if isinstance(data, Mapping) else None
    return time_of(time.get("created")) if isinstance(time, Mapping) else None


def _object(name: str, data: bytes) -> JSONObject | ValueError:
    try:
        return object_of(parse_json(data), "it")
    except ValueError as error:
        return ValueError(f"{name}: {error}")


def _misses(head: Head) -> str | None:
    said = head.value
    if not isinstance(said, dict) or not isinstance(said.get("id"), str):
        return None
    if not isinstance(said.get("role"), str) or not isinstance(said.get("time"), dict):
        return None
    return "" if isinstance(said.get("sessionID"), str) else "its message has no sessionID"


FILES: Final = Folder(
    version="JSON files, before 1.2",
    group=group,
    misses=_misses,
    distinct=True,
    unfold=unfold,
    holds=HOLDS,
)
