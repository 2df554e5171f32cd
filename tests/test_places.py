"""The places of known programs: where they are on each system, and their names in use."""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

import synmem
from synmem import places
from synmem.cli import completing
from synmem.cli.app import app
from synmem.errors import ProfileNotFound, StoreNotFound, Unsupported, UsageError
from synmem.places import PLACES, Machine
from synmem.profiles import resolve
from synmem.settings import KEYS, checked
from tests.at_places import FIXTURES, put
from tests.cli.moved import run

LINUX = Machine("linux", {}, "/home/u")
MACOS = Machine("darwin", {}, "/Users/u")
WINDOWS = Machine("win32", {}, r"C:\Users\u")


@pytest.fixture
def llm(own_folders: Path) -> Path:
    return put("llm-logs-new/logs.db", own_folders / "config/io.datasette.llm/logs.db")


# --- where they are -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "machine", "path"),
    [
        ("claude-code", LINUX, "~/.claude/projects"),
        ("claude-code", WINDOWS, r"~\.claude\projects"),
        ("llm", LINUX, "~/.config/io.datasette.llm/logs.db"),
        ("llm", MACOS, "~/Library/Application Support/io.datasette.llm/logs.db"),
        ("llm", WINDOWS, r"~\AppData\Roaming\io.datasette.llm\logs.db"),
        ("zed", LINUX, "~/.local/share/zed/threads/threads.db"),
        ("zed", MACOS, "~/Library/Application Support/Zed/threads/threads.db"),
        ("zed", WINDOWS, r"~\AppData\Local\Zed\threads\threads.db"),
        ("goose", LINUX, "~/.local/share/goose/sessions/sessions.db"),
        ("goose", MACOS, "~/.local/share/goose/sessions/sessions.db"),
        ("goose", WINDOWS, r"~\AppData\Roaming\Block\goose\data\sessions\sessions.db"),
        ("cursor", MACOS, "~/Library/Application Support/Cursor/User/globalStorage/state.vscdb"),
        ("vscode-chat", LINUX, "~/.vscode-server/data/User"),
        ("vscode-chat", WINDOWS, r"~\AppData\Roaming\Code - Insiders\User"),
        ("opencode", MACOS, "~/.local/share/opencode/opencode*.db"),
    ],
)
def test_a_place_is_where_its_program_has_it_on_each_system(
    name: str, machine: Machine, path: str
) -> None:
    assert path in places.looked_at(name, machine)


@pytest.mark.parametrize(
    ("name", "variables", "path"),
    [
        ("claude-code", {"CLAUDE_CONFIG_DIR": "/c"}, "/c/projects"),
        ("codex", {"CODEX_HOME": "/c"}, "/c"),
        ("copilot-cli", {"COPILOT_HOME": "/c"}, "/c/session-state"),
        ("gemini-cli", {"GEMINI_CLI_HOME": "/c"}, "/c/.gemini/tmp"),
        ("continue", {"CONTINUE_GLOBAL_DIR": "/c"}, "/c/sessions"),
        ("llm", {"LLM_USER_PATH": "/c"}, "/c/logs.db"),
        ("llm", {"XDG_CONFIG_HOME": "/x"}, "/x/io.datasette.llm/logs.db"),
        ("llm", {"LLM_USER_PATH": "", "XDG_CONFIG_HOME": "rel"},
         "~/.config/io.datasette.llm/logs.db"),
        ("opencode", {"OPENCODE_DB": "/c/o.db"}, "/c/o.db"),
        ("opencode", {"OPENCODE_DB": "o.db", "XDG_DATA_HOME": "/x"}, "/x/opencode/o.db"),
        ("qwen-code", {"QWEN_HOME": "/q"}, "/q/projects"),
        ("qwen-code", {"QWEN_HOME": "/q", "QWEN_RUNTIME_DIR": "/r"}, "/r/projects"),
        ("cline", {"CLINE_DIR": "/c"}, "/c/data"),
        ("cline", {"CLINE_SESSION_DATA_DIR": "/s"}, "/s"),
        ("cline", {"XDG_CONFIG_HOME": "/x"},
         "/x/VSCodium/User/globalStorage/saoudrizwan.claude-dev"),
    ],
)  # fmt: skip
def test_a_programs_own_variable_moves_its_place(
    name: str, variables: dict[str, str], path: str
) -> None:
    assert path in places.looked_at(name, Machine("linux", variables, "/home/u"))


def test_what_needs_a_variable_is_not_looked_for_without_it() -> None:
    for machine in (LINUX, MACOS, WINDOWS):
        for name in PLACES:
            assert not [path for path in places.looked_at(name, machine) if "{" in path], name


FILLED = {
    "aider": None, "crush": None,
    "anythingllm": ("anythingllm/anythingllm.db", "config/anythingllm-desktop/storage/anythingllm.db"),
    "claude-code": ("claude-code/projects", ".claude/projects"),
    "cline": ("cline-sessions/sessions", ".cline/data/sessions"),
    "codex": ("codex-rollouts/sessions", ".codex/sessions"),
    "continue": ("continue-sessions/sessions", ".continue/sessions"),
    "copilot-cli": ("copilot-cli/session-state", ".copilot/session-state"),
    "cursor": ("cursor-vscdb/state.vscdb", "config/Cursor/User/globalStorage/state.vscdb"),
    "flowise": None,
    "gemini-cli": ("gemini-cli/tmp", ".gemini/tmp"),
    "goose": ("goose/sessions.db", "data/goose/sessions/sessions.db"),
    "jan": ("jan-threads/threads", "data/Jan/data/threads"),
    "kimi-cli": None,
    "llm": ("llm-logs-new/logs.db", "config/io.datasette.llm/logs.db"),
    "lm-studio": ("lmstudio-conversations/conversations", ".lmstudio/conversations"),
    "mem0": ("mem0-history/history.db", ".mem0/history.db"),
    "open-webui": ("open-webui/webui.db", ".open-webui/webui.db"),
    "opencode": ("opencode-sqlite/opencode.db", "data/opencode/opencode.db"),
    "qwen-code": ("qwen-code/projects", ".qwen/projects"),
    "roo-code": ("cline-tasks/tasks",
                 "config/VSCodium/User/globalStorage/rooveterinaryinc.roo-cline/tasks"),
    "sillytavern": ("sillytavern-chats/data", "SillyTavern/data"),
    "text-generation-webui": ("text-generation-webui/user_data/logs",
                              "text-generation-webui/user_data/logs"),
    "vscode-chat": ("vscode-chat-sessions/workspaceStorage", "config/Code/User/workspaceStorage"),
    "zed": ("zed-threads/threads.db", "data/zed/threads/threads.db"),
}  # fmt: skip
"""Place -> a fixture, and where its program would have it; None where there is no such place on
every machine, or no fixture of it in a file."""


def test_every_place_is_tried() -> None:
    assert FILLED.keys() == PLACES.keys()


BESIDE = {"claude-code": 1, "goose": -1}
"""A sub-agent's conversation, which is not expected; one of Goose's lies in a file of lines."""


@pytest.mark.parametrize("name", [name for name, put in FILLED.items() if put is not None])
def test_what_a_program_keeps_is_read_at_its_place(name: str, own_folders: Path) -> None:
    paths = FILLED[name]
    assert paths is not None
    fixture, target = FIXTURES / paths[0], own_folders / paths[1]
    if fixture.is_dir():
        shutil.copytree(fixture, target)
    else:
        put(paths[0], target)
    assert places.there() == [name]
    result = run("ls", "--json", "-p", name)
    assert result.exit_code in (0, 6), result.stderr
    listed = json.loads(result.stdout)
    expected = json.loads((FIXTURES / paths[0].split("/")[0] / "expected.json").read_text())
    wanted = len([each for each in expected["conversations"] if each["messages"]])
    assert len(listed) == wanted + BESIDE.get(name, 0)
    [found] = json.loads(run("discover", "--json").stdout)
    assert (found["store"], found["conversations"]) == (name, len(listed))
    assert found["messages"] in (None, sum(each["messages"] or 0 for each in listed))
    assert found["layout"] == PLACES[name].spots[0].layout
    [below] = [
        each["store"]
        for each in json.loads(run("discover", "--json", str(own_folders)).stdout)
        if each["store"] == name
    ]
    assert below == name


# --- their names ----------------------------------------------------------------------------


def test_a_place_is_opened_by_its_name_as_by_its_path(llm: Path) -> None:
    told = run("ls", "-p", str(llm))
    assert told.stdout
    assert run("ls", "-p", "llm").stdout == told.stdout
    assert run("ls", "llm").stdout == told.stdout
    assert resolve("llm").identity == resolve(str(llm)).identity


def test_a_place_is_opened_from_python(llm: Path) -> None:
    async def ids() -> list[str]:
        async with synmem.open_store("llm") as store:
            return [info.id async for page in store.conversations() for info in page]

    assert "plain" in asyncio.run(ids())


def test_a_profile_of_that_name_wins(llm: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.db"
    assert run("profile", "add", "llm", str(mine)).exit_code == 0
    assert run("add", "c", "hello", "-p", "llm").exit_code == 0
    assert run("ls", "-p", "llm").stdout == "c\n"
    assert mine.exists()


def test_a_variable_of_a_profile_of_that_name_wins(
    llm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNMEM_PROFILE_LLM_BACKEND", "sqlite")
    monkeypatch.setenv("SYNMEM_PROFILE_LLM_DB_PATH", str(tmp_path / "mine.db"))
    assert resolve("llm").settings["db_path"] == str(tmp_path / "mine.db")


@pytest.mark.parametrize(
    "arguments",
    [
        ("add", "c", "hello", "-p", "llm"),
        ("clear", "--all", "--confirm", "llm", "-p", "llm"),
        ("clear", "plain", "--dry-run", "-p", "llm", "--layout", "llm"),
        ("summarize", "plain", "--replace", "--yes", "-p", "llm"),
        ("migrate", "none.db", "llm"),
    ],
    ids=" ".join,
)
def test_a_place_is_only_read(llm: Path, arguments: tuple[str, ...], tmp_path: Path) -> None:
    before = llm.read_bytes(), llm.stat().st_mtime_ns
    run("add", "c", "x", "-p", str(tmp_path / "none.db"))
    arguments = tuple(str(tmp_path / each) if each == "none.db" else each for each in arguments)
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "only read" in result.stderr
    assert "synmem migrate llm FILE.db" in result.stderr
    assert (llm.read_bytes(), llm.stat().st_mtime_ns) == before
    assert sorted(each.name for each in llm.parent.iterdir()) == ["logs.db"]


def test_a_place_is_not_written_from_python_either(llm: Path) -> None:
    async def write() -> None:
        async with synmem.open_store("llm", write=True):
            pass

    with pytest.raises(Unsupported, match="only read"):
        asyncio.run(write())


def test_where_nothing_is_it_says_where_it_looked() -> None:
    result = run("ls", "-p", "open-webui")
    assert result.exit_code == 3
    assert "Open WebUI" in result.stderr
    assert "~/.open-webui/webui.db" in result.stderr
    with pytest.raises(StoreNotFound):
        resolve("claude-code")


def test_a_program_that_keeps_them_in_each_project_has_no_place() -> None:
    result = run("ls", "-p", "aider")
    assert result.exit_code == 3
    assert "synmem discover FOLDER" in result.stderr


def test_of_several_that_are_there_one_must_be_chosen(own_folders: Path) -> None:
    first = put("mem0-history/history.db", own_folders / "data/zed/threads/threads.db")
    second = put("mem0-history/history.db",
                 own_folders / ".var/app/dev.zed.Zed/data/zed/threads/threads.db")  # fmt: skip
    result = run("ls", "-p", "zed")
    assert result.exit_code == 2
    for path in (first, second):
        assert f"-p '{path}?layout=zed'" in result.stderr
    second.unlink()
    second.symlink_to(first)
    assert resolve("zed").file == first  # one place by two names
    second.unlink()
    first.unlink()
    with pytest.raises(StoreNotFound):
        resolve("zed")


def test_what_a_program_brought_over_and_left_behind_is_not_meant(own_folders: Path) -> None:
    chats = FIXTURES / "lmstudio-conversations/conversations"
    before = own_folders / ".cache/lm-studio/conversations"
    shutil.copytree(chats, before)
    assert resolve("lm-studio").file == before
    shutil.copytree(chats, own_folders / ".lmstudio/conversations")
    assert resolve("lm-studio").file == own_folders / ".lmstudio/conversations"


def test_databases_of_several_channels_are_several(own_folders: Path) -> None:
    for name in ("opencode.db", "opencode-stable.db"):
        put("opencode-sqlite/opencode.db", own_folders / "data/opencode" / name)
    with pytest.raises(UsageError, match="2 places") as told:
        resolve("opencode")
    assert "opencode-stable.db" in str(told.value.hint)


def test_a_folder_without_what_the_program_writes_is_no_place(own_folders: Path) -> None:
    (own_folders / ".claude/projects/-home").mkdir(parents=True)
    assert places.found("claude-code") == []
    (own_folders / ".claude/projects/-home/a.jsonl").write_text("{}\n")
    [there] = places.found("claude-code")
    assert there.path == own_folders / ".claude/projects"


def test_a_program_that_lists_its_folders_has_its_place_there(
    own_folders: Path, tmp_path: Path
) -> None:
    first, second = tmp_path / "one/.crush", tmp_path / "two/.data"
    listed = own_folders / "data/crush/projects.json"
    listed.parent.mkdir(parents=True)
    projects: list[Any] = [
        {"path": str(tmp_path / "one"), "data_dir": str(first)},
        {"path": str(tmp_path / "two"), "data_dir": ".data"},
        {"path": str(tmp_path / "gone"), "data_dir": ".crush"},
        {"path": "relative", "data_dir": ".crush"},
    ]
    listed.write_text(json.dumps({"projects": projects}))
    assert "projects.json" in run("ls", "-p", "crush").stderr
    put("crush/crush.db", first / "crush.db")
    assert resolve("crush").file == first / "crush.db"
    assert len(run("ls", "-p", "crush").stdout.splitlines()) == 8
    put("crush/crush.db", second / "crush.db")
    assert run("ls", "-p", "crush").exit_code == 2
    found = {each["path"] for each in json.loads(run("discover", "--json").stdout)}
    assert found == {str(first / "crush.db"), str(second / "crush.db")}
    for broken in ("[", "[]", "null", '{"projects": 1}', '{"projects": [1]}',
                   '{"projects": [{"path": 1, "data_dir": null}]}', "[" * 100_000):  # fmt: skip
        listed.write_text(broken)
        assert run("ls", "-p", "crush").exit_code == 3
        assert run("discover").exit_code == 0


def test_a_path_of_a_place_is_taken_as_it_is(
    own_folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = own_folders / "${HOME}"
    put("llm-logs-new/logs.db", odd / "logs.db")
    monkeypatch.setenv("LLM_USER_PATH", str(odd))
    assert "plain" in run("ls", "-p", "llm").stdout.split("\n")


# --- where a name is wrong ------------------------------------------------------------------


def test_an_unknown_name_names_the_nearest_and_the_places_that_there_are(llm: Path) -> None:
    with pytest.raises(ProfileNotFound) as told:
        resolve("claude")
    assert told.value.hint == "did you mean claude-code?; known places: llm"
    with pytest.raises(ProfileNotFound) as told:
        resolve("xyzzy")
    assert told.value.hint == "there are: default; known places: llm"


def test_the_places_that_are_there_are_completed(llm: Path) -> None:
    command = get_command(app).get_command(None, "show")  # type: ignore[attr-defined]
    context = command.make_context("show", [], resilient_parsing=True)
    assert completing.profiles(context, "") == ["default", "llm"]
    assert completing.profiles(context, "ll") == ["llm"]
    assert completing.profiles(context, "open") == []


def test_places_are_named_as_layouts_are(llm: Path) -> None:
    for name in PLACES:
        assert places.place_of(name.replace("-", "_")) == name
    assert places.place_of("continue_dev") == places.place_of("continue-dev") == "continue"
    assert places.place_of("none") is None


@pytest.mark.parametrize("backend", [name for name, keys in KEYS.items() if "layout" in keys])
def test_a_layout_is_named_with_hyphens_or_underscores(backend: str) -> None:
    assert checked(backend, "layout", "open-webui", "--layout") == "open_webui"


def test_every_way_to_name_a_layout_takes_hyphens(tmp_path: Path) -> None:
    store = put("open-webui/webui.db", tmp_path / "webui.db")
    told = run("ls", "-p", str(store)).stdout
    assert told
    assert run("ls", "-p", str(store), "--layout", "open-webui").stdout == told
    assert run("ls", "-p", f"{store}?layout=open-webui").stdout == told
    assert run("ls", "-p", f"sqlite:///{store}?layout=open-webui").stdout == told
    assert run("profile", "add", "w", str(store), "--set", "layout=open-webui").exit_code == 0
    assert run("ls", "-p", "w").stdout == told
