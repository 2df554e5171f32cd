"""Where known programs keep their conversations: a table, and looks whether something is there.

A place has a name that is used like a profile's. Its paths are templates: `{claude}/projects`, of
which `{claude}` is the folder that the program's own variable names, or else the usual one. What is
absolute in the middle of a path counts from there on. Nothing here opens a store.
"""

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import Final, NamedTuple

_LISTED_BYTES: Final = 1 << 20
"""So much of a program's list is read."""

_DATABASES: Final = (".db", ".sqlite", ".vscdb")


class Machine(NamedTuple):
    """What decides where programs keep their files."""

    system: str
    """As `sys.platform` has it: linux, darwin, win32."""
    environment: Mapping[str, str]
    home: str

    @property
    def pure(self) -> type[PurePath]:
        """What its paths are, without a look at them."""
        return PureWindowsPath if self.system == "win32" else PurePosixPath


class Spot(NamedTuple):
    """Where a program may keep conversations: a file, or a folder that `holds` something like
    these; patterns may stand in both. Of several that are there those of the lowest `rank` are
    meant: others are what the program had before, and did not remove when it brought it over.
    Where it is `listed`, `at` is a file in which the program says in which folders it has a file of
    that name."""

    layout: str
    at: str
    holds: tuple[str, ...] = ()
    rank: int = 0
    listed: str = ""


class Place(NamedTuple):
    """A known program: what people call it, and its spots; one without any keeps its conversations
    in the folder of each project."""

    title: str
    spots: tuple[Spot, ...] = ()


class Found(NamedTuple):
    """A spot at which there is something."""

    layout: str
    path: Path
    holds: tuple[str, ...]
    rank: int

    @property
    def is_database(self) -> bool:
        """Whether it is an SQLite file; else a folder, or a file of another form."""
        return self.path.suffix in _DATABASES

    @property
    def is_read(self) -> bool:
        """Whether the layout is known in that form."""
        from synmem.layouts.registry import LAYOUTS

        return ("sqlite" if self.is_database else "file") in LAYOUTS.get(self.layout, ())


BASES: Final[dict[str, tuple[str, str | None]]] = {
    "claude": ("CLAUDE_CONFIG_DIR", "~/.claude"),
    "cline": ("CLINE_DIR", "~/.cline"),
    "cline_data": ("CLINE_DATA_DIR", "{cline}/data"),
    "cline_sessions": ("CLINE_SESSION_DATA_DIR", None),
    "codex": ("CODEX_HOME", "~/.codex"),
    "continue": ("CONTINUE_GLOBAL_DIR", "~/.continue"),
    "copilot": ("COPILOT_HOME", "~/.copilot"),
    "crush": ("CRUSH_GLOBAL_DATA", "{crush_data}"),
    "gemini_home": ("GEMINI_CLI_HOME", "~"),
    "goose": ("GOOSE_PATH_ROOT", None),
    "kimi": ("KIMI_SHARE_DIR", "~/.kimi"),
    "llm": ("LLM_USER_PATH", "{config}/io.datasette.llm"),
    "mem0": ("MEM0_DIR", "~/.mem0"),
    "opencode_db": ("OPENCODE_DB", None),
    "open_webui": ("DATA_DIR", None),
    "qwen_home": ("QWEN_HOME", "~/.qwen"),
    "qwen": ("QWEN_RUNTIME_DIR", "{qwen_home}"),
    "anythingllm": ("STORAGE_DIR", None),
    "vscode_portable": ("VSCODE_PORTABLE", None),
    "xdg_data": ("XDG_DATA_HOME", "~/.local/share"),
    "xdg_config": ("XDG_CONFIG_HOME", "~/.config"),
    "roaming": ("APPDATA", "~/AppData/Roaming"),
    "local_data": ("LOCALAPPDATA", "~/AppData/Local"),
}
"""Folder -> the variable that names it, and where it is without; one that has no such place is only
looked for where the variable is set."""

OF_SYSTEM: Final[dict[str, dict[str, str]]] = {
    "linux": {
        "config": "{xdg_config}", "data": "{xdg_data}", "zed": "{xdg_data}/zed",
        "goose_data": "{xdg_data}/goose", "crush_data": "{xdg_data}/crush",
    },
    "darwin": {
        "config": "~/Library/Application Support", "data": "~/Library/Application Support",
        "zed": "{data}/Zed", "goose_data": "{xdg_data}/goose", "crush_data": "{xdg_data}/crush",
    },
    "win32": {
        "config": "{roaming}", "data": "{roaming}", "zed": "{local_data}/Zed",
        "goose_data": "{roaming}/Block/goose/data", "crush_data": "{local_data}/crush",
    },
}  # fmt: skip
"""The folders that each system has elsewhere; any other is like Linux."""

_EDITORS: Final = (
    *(f"{{config}}/{name}/User" for name in ("Code", "Code - Insiders", "Code - OSS", "VSCodium",
                                             "Cursor", "Windsurf")),
    "{vscode_portable}/user-data/User",
    *(f"~/.{name}/data/User" for name in ("vscode-server", "vscode-server-insiders",
                                          "cursor-server", "windsurf-server")),
    "~/.var/app/com.visualstudio.code/config/Code/User",
    "~/.var/app/com.vscodium.codium/config/VSCodium/User",
)  # fmt: skip
"""The user folders of VS Code and what is like it, all of which `{editors}` stands for."""

_SESSIONS: Final = ("*/*.messages.json",)
_TASKS: Final = ("tasks/*/api_conversation_history.json", "tasks/*/claude_messages.json")
_ZED: Final = "threads/threads.db"

PLACES: Final[dict[str, Place]] = {
    "aider": Place("aider"),
    "anythingllm": Place("AnythingLLM", (
        Spot("anythingllm", "{anythingllm}/anythingllm.db"),
        Spot("anythingllm", "{config}/anythingllm-desktop/storage/anythingllm.db"),
        Spot("anythingllm", "~/anythingllm/anythingllm.db"),
    )),
    "claude-code": Place("Claude Code", (
        Spot("claude_code", "{claude}/projects", ("*/*.jsonl",)),
    )),
    "cline": Place("Cline", (
        Spot("cline", "{cline_sessions}", _SESSIONS),
        Spot("cline", "{cline_data}", (*(f"sessions/{each}" for each in _SESSIONS), *_TASKS)),
        Spot("cline", "{editors}/globalStorage/saoudrizwan.claude-dev", _TASKS),
    )),
    "codex": Place("Codex CLI", (
        Spot("codex", "{codex}", ("sessions/*/*/*/rollout-*", "archived_sessions/rollout-*")),
    )),
    "continue": Place("Continue", (
        Spot("continue_dev", "{continue}/sessions", ("*.json",)),
    )),
    "copilot-cli": Place("GitHub Copilot CLI", (
        Spot("copilot_cli", "{copilot}/session-state", ("*/events.jsonl", "*.jsonl")),
    )),
    "crush": Place("Crush", (
        Spot("crush", "{crush}/projects.json", listed="crush.db"),
    )),
    "cursor": Place("Cursor", (
        Spot("cursor", "{config}/Cursor/User/globalStorage/state.vscdb"),
    )),
    "flowise": Place("Flowise", (
        Spot("flowise", "~/.flowise/database.sqlite"),
    )),
    "gemini-cli": Place("Gemini CLI", (
        Spot("gemini_cli", "{gemini_home}/.gemini/tmp", ("*/chats/session-*",)),
    )),
    "goose": Place("Goose", (
        Spot("goose", "{goose}/data/sessions/sessions.db"),
        Spot("goose", "{goose_data}/sessions/sessions.db"),
        Spot("goose", "{goose}/data/sessions", ("*.jsonl",), rank=1),
        Spot("goose", "{goose_data}/sessions", ("*.jsonl",), rank=1),
        Spot("goose", "~/.goose/sessions", ("*.jsonl",), rank=1),
    )),
    "jan": Place("Jan", (
        Spot("jan", "{data}/Jan/data/threads", ("*/thread.json",)),
        Spot("jan", "~/.var/app/ai.jan.Jan/data/Jan/data/threads", ("*/thread.json",)),
        Spot("jan", "{config}/Jan/data/threads", ("*/thread.json",), rank=1),
        Spot("jan", "~/jan/threads", ("*/thread.json",), rank=1),
    )),
    "kimi-cli": Place("Kimi CLI", (
        Spot("kimi_cli", "{kimi}/sessions", ("*/*/context.jsonl",)),
    )),
    "llm": Place("llm", (
        Spot("llm", "{llm}/logs.db"),
    )),
    "lm-studio": Place("LM Studio", (
        Spot("lm_studio", "~/.lmstudio/conversations", ("**/*.conversation.json",)),
        Spot("lm_studio", "~/.cache/lm-studio/conversations", ("**/*.conversation.json",), rank=1),
    )),
    "mem0": Place("mem0", (
        Spot("mem0", "{mem0}/history.db"),
    )),
    "open-webui": Place("Open WebUI", (
        Spot("open_webui", "{open_webui}/webui.db"),
        Spot("open_webui", "~/.open-webui/webui.db", rank=1),
        Spot("open_webui", "~/open-webui/backend/data/webui.db", rank=1),
    )),
    "opencode": Place("opencode", (
        Spot("opencode", "{xdg_data}/opencode/{opencode_db}"),
        Spot("opencode", "{xdg_data}/opencode/opencode*.db", rank=1),
        Spot("opencode", "{xdg_data}/opencode/storage", ("session/*/*.json",), rank=2),
    )),
    "qwen-code": Place("Qwen Code", (
        Spot("qwen_code", "{qwen}/projects", ("*/chats/*.jsonl",)),
    )),
    "roo-code": Place("Roo Code", (
        Spot("cline", "{editors}/globalStorage/rooveterinaryinc.roo-cline", _TASKS),
    )),
    "sillytavern": Place("SillyTavern", (
        Spot("sillytavern", "{data}/SillyTavern/data", ("*/chats/*/*.jsonl",)),
        Spot("sillytavern", "~/SillyTavern/data", ("*/chats/*/*.jsonl",)),
    )),
    "text-generation-webui": Place("text-generation-webui", (
        Spot("text_generation_webui", "~/text-generation-webui/user_data/logs", ("*/**/*.json",)),
        Spot("text_generation_webui", "~/text-generation-webui/logs", ("*/**/*.json",), rank=1),
    )),
    "vscode-chat": Place("VS Code chat", (
        Spot("vscode_chat", "{editors}", ("workspaceStorage/*/chatSessions/*.json*",
                                          "globalStorage/emptyWindowChatSessions/*.json*")),
    )),
    "zed": Place("Zed", (
        Spot("zed", "{zed}/" + _ZED),
        Spot("zed", "~/.var/app/dev.zed.Zed/data/zed/" + _ZED),
    )),
}  # fmt: skip
"""Name -> the program, as it is called in the table of layouts, with hyphens."""


# --- the paths of a machine -----------------------------------------------------------------


def this_machine() -> Machine:
    """The one that this runs on."""
    try:
        home = str(Path.home())
    except RuntimeError:
        home = os.sep  # nobody's: what no variable names is not there
    return Machine(sys.platform, os.environ, home)


def paths(template: str, machine: Machine) -> Iterator[PurePath]:
    """The paths that a template stands for; none where a variable that it needs is not set."""
    if "{editors}" in template:
        for each in _EDITORS:
            yield from paths(template.replace("{editors}", each), machine)
        return
    path = machine.pure()
    for part in template.split("/"):
        expanded = _expanded(part, machine) if part.startswith(("{", "~")) else machine.pure(part)
        if expanded is None:
            return
        path /= expanded
    yield path


def _expanded(part: str, machine: Machine) -> PurePath | None:
    if part == "~":
        return machine.pure(machine.home)
    name = part.strip("{}")
    if name in BASES:
        variable, usual = BASES[name]
        if named := _named(variable, machine):
            return named
    else:
        usual = OF_SYSTEM.get(machine.system, OF_SYSTEM["linux"])[name]
    return None if usual is None else next(paths(usual, machine), None)


def _named(variable: str, machine: Machine) -> PurePath | None:
    """What a variable says; an empty one says nothing, nor does a relative path in XDG's."""
    value = machine.environment.get(variable)
    pure = machine.pure(value or "")
    if not value or (variable.startswith("XDG_") and not pure.is_absolute()):
        return None
    return pure


# --- what is there --------------------------------------------------------------------------


def place_of(name: str) -> str | None:
    """The place of that name, or else of the layout of that name, with hyphens or underscores; None
    where there is none."""
    name = name.replace("_", "-")
    if name in PLACES:
        return name
    layout = name.replace("-", "_")
    alike = [each for each, (_, spots) in PLACES.items() if spots and spots[0].layout == layout]
    return alike[0] if alike else None


def found(name: str, machine: Machine | None = None) -> list[Found]:
    """Where the program of that place has something: of each path that is there once, in the order
    of their ranks."""
    machine = machine or this_machine()
    there: dict[str, Found] = {}
    for spot in sorted(PLACES[name].spots, key=lambda spot: spot.rank):
        for each in paths(spot.at, machine):
            for path in _paths_at(Path(each).absolute(), spot.listed):
                if _is_there(path, spot.holds):
                    key = os.path.realpath(path)
                    there.setdefault(key, Found(spot.layout, path, spot.holds, spot.rank))
    return list(there.values())


def is_emptied(name: str, machine: Machine | None = None) -> bool:
    """Whether a folder in which the program of that place keeps conversations is there, while
    nothing is `found` in any; not where something in it may not be looked into."""
    machine = machine or this_machine()
    spots = [spot for spot in PLACES[name].spots if spot.holds]
    folders = [Path(path).absolute() for spot in spots for path in paths(spot.at, machine)]
    barred: list[OSError] = []
    there = [each for each in folders if _is_folder(each)]
    for each in there:
        for _ in os.walk(each, onerror=barred.append):
            pass
    return bool(there) and not barred


def layout_at(folder: Path, machine: Machine | None = None) -> str | None:
    """Of which layout the conversations are that a program has in this folder, by where it is."""
    machine = machine or this_machine()
    wanted = os.path.realpath(folder)
    for spot in (spot for place in PLACES.values() for spot in place.spots if spot.holds):
        if any(os.path.realpath(path) == wanted for path in paths(spot.at, machine)):
            return spot.layout
    return None


def meant(there: Iterable[Found]) -> list[Found]:
    """Of what is there, and can be read, that of the lowest rank."""
    read = [each for each in there if each.is_read]
    return [each for each in read if each.rank == read[0].rank]


def looked_at(name: str, machine: Machine | None = None) -> list[str]:
    """Where the program of that place would have something, as a person writes it."""
    machine = machine or this_machine()
    spots = PLACES[name].spots
    every = (str(path) for spot in spots for path in paths(spot.at, machine))
    return [_short(each, machine.home) for each in dict.fromkeys(every)]


def there(names: Iterable[str] = PLACES, machine: Machine | None = None) -> list[str]:
    """Those of these places that have something."""
    return [name for name in names if meant(found(name, machine))]


def _short(path: str, home: str) -> str:
    return "~" + path[len(home) :] if path.startswith((home + "/", home + "\\")) else path


def _paths_at(path: Path, listed: str) -> list[Path]:
    """The path, those that its last part is a pattern of, or those that are listed in it."""
    if listed:
        return [folder / listed for folder in _listed(path)]
    if "*" not in path.name:
        return [path]
    try:
        return sorted(path.parent.glob(path.name))
    except OSError:
        return []


def _listed(file: Path) -> list[Path]:
    """The folders that a program lists: `{"projects": [{"path", "data_dir"}]}`."""
    import json

    try:
        with file.open("rb") as opened:
            said = json.loads(opened.read(_LISTED_BYTES))
        projects = said["projects"]
        named = [(each["path"], each["data_dir"]) for each in projects]
        return [Path(path, data) for path, data in named if Path(path, data).is_absolute()]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return []


def _is_there(path: Path, holds: tuple[str, ...]) -> bool:
    """Whether that is such a file, or a folder that holds such. One that we may not look into is
    taken for one that does: who opens it says what is wrong with it."""
    try:
        if not holds:
            return path.is_file() and path.stat().st_size > 0
        return path.is_dir() and _may_hold(path, holds)
    except OSError:
        return False


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False


def _may_hold(folder: Path, holds: tuple[str, ...]) -> bool:
    try:
        with os.scandir(folder):
            pass
    except PermissionError:
        return True
    return any(next(folder.glob(pattern), None) is not None for pattern in holds)


# --- what lies elsewhere ---------------------------------------------------------------------


def root_of(layout: str, folder: PurePath) -> PurePath | None:
    """The folder that the program of this layout would have as its place, and of which this one is
    a part: by what its folders are called. None where that cannot be told."""
    parts = folder.parts
    for wanted, kept in _chains(layout):
        for start in range(len(parts) - len(wanted), -1, -1):
            its = parts[start : start + len(wanted)]
            if all(map(fnmatchcase, its, wanted)):
                return type(folder)(*parts[: start + kept])
    return None


def _chains(layout: str) -> Iterator[tuple[list[str], int]]:
    """What folders are called in which files of a layout lie, from the last part of the place that
    has a name of its own on, or else from the place on; and how many of these are the place's."""
    for spot in (spot for place in PLACES.values() for spot in place.spots):
        if spot.layout != layout:
            continue
        last = spot.at.rpartition("/")[2]
        for pattern in spot.holds:
            within = [part for part in pattern.split("/")[:-1] if part != "**"]
            if not last.startswith(("{", "~")):
                yield [last, *within], 1
            if any("*" not in part for part in within):
                yield within, 0
