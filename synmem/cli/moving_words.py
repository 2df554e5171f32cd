"""What `migrate` and `import` say of what they did, and the exit code that goes with it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from synmem.cli import render
from synmem.cli.lines import listed
from synmem.cli.rejects import Rejects
from synmem.cli.run import PARTLY, Session
from synmem.cli.words import count
from synmem.errors import Changed

if TYPE_CHECKING:
    from synmem.messages import Holds
    from synmem.operations.moving.receipt import Entry
    from synmem.operations.moving.transfer import Options, Transfer

WAYS = ("skip", "stop", "replace", "rename", "extend")
"""The same as `CONFLICTS` of the operations, which are not loaded to print a help."""
"""What `--on-conflict` takes."""
_NAMED = 3
"""So many files are named of those of which the same is said."""
_DECIDING = WAYS[2:]  # what is different does not stay as it is

_DONE = {
    "copied": "copied", "appended": "appended to", "described": "given a new title or extra",
    "replaced": "replaced",
    "renamed": "under another name", "extended": "extended", "branched": "copied as ID#LEAF",
    "equal": "equal already",
    "ahead": "ahead already",
}  # fmt: skip
_PROBLEMS = {
    "conflict": "different", "rejected": "refused", "unreadable": "unreadable",
    "changed": "changed meanwhile", "failed": "not verified", "left": "not moved",
}  # fmt: skip
_WOULD = {
    "copied": "copy", "appended": "append", "described": "append", "replaced": "replace",
    "renamed": "rename", "extended": "extend", "branched": "branch",
}  # fmt: skip


@dataclass
class Done:
    """What the transfers of all loads did, together."""

    written: int = 0
    left: int = 0
    removed: int = 0
    stopped: bool = False
    not_compared: list[str] = field(default_factory=list)
    missing: "dict[tuple[str, ...], list[str]]" = field(default_factory=dict)
    """What is not compared -> in which sources."""
    lost: "dict[tuple[str, ...], list[str]]" = field(default_factory=dict)
    """What does not travel -> from which."""
    holds: "Holds | None" = None

    def loses(self, transfer: "Transfer", source: str) -> bool:
        """Whether that is more than nothing, and was not said of a source before."""
        names = self.lost.setdefault(tuple(transfer.lost), [])
        names.append(source)
        return bool(transfer.lost) and len(names) == 1

    def add(self, transfer: "Transfer", source: str) -> None:
        """One more."""
        self.written += transfer.written
        self.left += transfer.left
        self.removed += transfer.removed
        self.stopped |= transfer.stopped
        self.not_compared = transfer.not_compared
        self.missing.setdefault(tuple(transfer.not_compared), []).append(source)
        self.holds = transfer.holds


def teller(
    session: Session, dry_run: bool, file_of: "Callable[[str], str]"
) -> "Callable[[Entry], None]":
    """What tells, of a conversation, that it has a problem, or what would become of it."""

    def tell(entry: "Entry") -> None:
        name = render.visible_line(entry.source)
        if entry.conversation != entry.source:
            name += f" (as {render.visible_line(entry.conversation)})"
        if entry.kind is not None:
            problem = render.visible_line(entry.problem or "")
            what = f"{_PROBLEMS[entry.kind]}: " if entry.kind != "left" else ""
            file = file_of(entry.source)
            where = f"{render.visible_line(file)}: " if file else ""
            render.note(f"{where}{name}: {what}{problem}")
        if dry_run and not session.json:
            word = _WOULD.get(entry.action, entry.kind or entry.action)
            number = entry.written if entry.action in _WOULD else 0
            listed(entry.conversation, word, str(number))

    return tell


def so_far(written: int, error: BaseException) -> str:
    """What is said where it was cut short."""
    goes_on = "the same command again goes on from there"
    if isinstance(error, Changed):  # some of it may be what the source no longer says
        goes_on += ", and names what has become different meanwhile"
    return (
        f"at least {count(written, 'message')} written so far, in whole conversations or "
        f"as their beginning; {goes_on}"
    )


def apart(counts: dict[str, int], described: int) -> dict[str, int]:
    """The counts, with those to which nothing but a title or extra was appended by themselves."""
    if not described:
        return counts
    return counts | {"appended": counts["appended"] - described, "described": described}


def summary(done: Done, counts: dict[str, int], options: "Options", rejects: Rejects) -> str:
    """One line: what became of the conversations, and the messages."""
    dry_run = options.dry_run
    words = [f"{counts[key]:,} {word}" for key, word in _words(options).items() if counts.get(key)]
    text = count(counts.get("conversations", 0), "conversation")
    text += f": {', '.join(words)}" if words else ""
    if dry_run:
        text += f"; {count(counts.get('messages', 0), 'message')} would be written"
    else:
        text += f"; {count(done.written, 'message')} written"
        text += " and verified" if done.written and not counts.get("failed") else ""
    if done.left:
        where = f"in {rejects.path}" if rejects.path else "left behind (--rejects FILE keeps them)"
        text += f"; {count(done.left, 'message')} {where}"
    if options.move and not options.dry_run:
        text += f"; {count(done.removed, 'conversation')} removed from the source"
    if done.not_compared and len(done.missing) == 1:
        text += f"; not compared: {', '.join(done.not_compared)}"
    if done.stopped:
        text += "; stopped at the first difference"
    return text


def of_each(found: "dict[tuple[str, ...], list[str]]", *, of_one: bool) -> list[str]:
    """Of sources that are not alike: which of them, and what it is. Those of which it was said
    already, since they are alone, only with `of_one`."""
    if len(found) == 1:
        return []
    named = [(what, list(dict.fromkeys(names))) for what, names in found.items() if what]
    return [
        f"{_some(names)}: {', '.join(what)}" for what, names in named if of_one or len(names) > 1
    ]


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _words(options: "Options") -> dict[str, str]:
    """What became of conversations, or would; what is different is followed by the remedy."""
    done = {key: f"would be {_DONE[key]}" for key in _WOULD} if options.dry_run else {}
    ways = "|".join(way for way in _DECIDING if way != options.on_conflict)
    conflict = {"conflict": f"{_PROBLEMS['conflict']} (--on-conflict {ways} decides)"}
    return _DONE | done | _PROBLEMS | conflict


def exit_code(done: Done, counts: dict[str, int]) -> int | None:
    """What the command ends with."""
    if counts.get("failed"):
        render.note(f"synmem: verification failed for {count(counts['failed'], 'conversation')}")
        return 1
    partly = any(counts.get(kind) for kind in _PROBLEMS)
    return PARTLY if partly or done.left else None
