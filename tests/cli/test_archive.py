"""`synmem migrate --archive` from cron: the source goes on, and drops what it likes."""

import json
import os
import signal
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.cli.moved import lines, make, run, said
from tests.cli.places import BACKENDS, EVERY, Places
from tests.cli.processes import in_pipe, start
from tests.layouts.foreign import test_claude_code as claude
from tests.layouts.foreign.folders import lines as claude_lines
from tests.layouts.foreign.wholes import FIXTURES, database, made_as

WEBUI = FIXTURES / "open-webui" / "webui.db"


def webui(path: Path, *chats: tuple[str, str, Sequence[str]]) -> Path:
    """An Open WebUI with these chats: id, title, and the ids of the messages up to the one where it
    stands, each of which says its id. What it had before of them is still there, beside it."""
    with database(path) as db:
        before = {}
        if db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'chat'").fetchone():
            before = dict(db.execute("SELECT id, chat FROM chat").fetchall())
        made_as(db, WEBUI)
        for id_, title, way in chats:
            nodes = json.loads(before.get(id_, "{}")).get("history", {}).get("messages", {})
            for parent, each in zip([None, *way], way, strict=False):
                nodes[each] = {"id": each, "parentId": parent, "role": "user", "content": each}
            history = {"messages": nodes, "currentId": way[-1]}
            db.execute(
                "INSERT INTO chat (id, title, chat) VALUES (?, ?, ?)",
                (id_, title, json.dumps({"title": title, "history": history})),
            )
    return path


def archived(source: Path | str, archive: Path, *options: str) -> tuple[str, dict[str, Any]]:
    """What a run says, and its receipt; a second one does nothing to the archive."""
    receipt = archive.with_name("receipt.json")
    command = ("migrate", source, archive, "--archive", "--receipt", receipt, *options)
    done = run(*command)
    assert (done.exit_code, done.stdout) == (0, ""), done.stderr
    found = json.loads(receipt.read_text())
    assert run("check", archive, "--receipt", receipt).exit_code == 0
    before = archive.read_bytes()
    again = run(*command)
    assert again.exit_code == 0, again.stderr
    assert "; 0 messages written" in again.stderr
    assert run("check", archive, "--receipt", receipt).exit_code in (0, 7)  # 7: it has more
    assert archive.read_bytes() == before
    return done.stderr, found


def titles(path: Path) -> dict[str, str]:
    found = json.loads(run("ls", "-p", path, "--json", "-v").stdout)
    return {each["conversation_id"]: each.get("title") for each in found}


def test_an_app_that_rewinds_retitles_compacts_and_prunes_loses_nothing(tmp_path: Path) -> None:
    source, archive = tmp_path / "webui.db", tmp_path / "archive.db"
    webui(source, ("one", "A title", ["q", "a"]), ("two", "Other", ["x"]))
    told, _ = archived(source, archive)
    assert told.startswith("2 conversations: 2 copied; 3 messages written and verified")

    webui(source, ("one", "A better title", ["q", "a"]), ("two", "Other", ["x", "y"]))
    planned = run("migrate", source, archive, "--archive", "--dry-run").stderr
    assert "1 would be appended to, 1 would be given a new title or extra; 1 message" in planned
    told, _ = archived(source, archive)
    what = "1 appended to, 1 given a new title or extra; 1 message written and verified"
    assert told.startswith(f"2 conversations: {what}")
    assert titles(archive) == {"one": "A better title", "two": "Other"}

    webui(source, ("one", "A better title", ["q", "a again"]), ("two", "Other", ["x", "y"]))
    told, receipt = archived(source, archive)
    assert told.startswith("2 conversations: 1 copied as ID#LEAF, 1 equal already; 2 messages")
    (line,) = [each for each in receipt["conversations"] if each.get("source_id")]
    assert (line["conversation_id"], line["source_id"], line["action"]) == (
        "one#a again", "one", "branched",
    )  # fmt: skip

    webui(source, ("one", "Third", ["q", "a again", "more"]))  # and `two` is deleted
    told, receipt = archived(source, archive)
    assert told.startswith("1 conversation: 1 appended to; 1 message written and verified")
    webui(source, ("one", "Compacted", ["summary", "then"]))
    archived(source, archive)
    with database(source) as db:  # the summary is pruned, too
        db.execute("UPDATE chat SET chat = json_remove(chat, '$.history.messages.summary')")
    told, _ = archived(source, archive)
    assert told.startswith("1 conversation: 1 ahead already; 0 messages written")
    assert said(archive) == {
        "one": ["q", "a"],
        "one#a again": ["q", "a again", "more"],
        "one#then": ["summary", "then"],
        "two": ["x", "y"],
    }
    assert titles(archive) == {
        "one": "A better title", "one#a again": "Third", "one#then": "Compacted", "two": "Other",
    }  # fmt: skip


def test_claude_code_is_archived_while_it_works_and_after_it_deletes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(tmp_path))
    archive, file = tmp_path / "archive.db", tmp_path / "projects" / claude.FILE
    file.parent.mkdir(parents=True)

    def cron() -> str:
        return archived("claude-code", archive)[0].split(" ", 2)[2]

    def goes_on(*objects: Any, cut: bytes = b"") -> None:
        with file.open("ab") as written:
            written.write(claude_lines(*objects) + cut)

    goes_on(claude.asked("u1", None, "q"), claude.answered("a2", "u1", "Let me", "m1"))
    assert cron().startswith("1 copied; 2 messages written and verified")
    goes_on(claude.answered("a3", "a2", [claude.call("t1")], "m1"))  # a block more of the answer
    assert cron().startswith("1 appended to; 1 message written and verified")
    goes_on(claude.asked("u4", "a3", [claude.result("t1", "r")]), cut=b'{"type":"user","uu')
    assert cron().startswith("1 appended to; 1 message")
    with file.open("rb+") as written:
        written.truncate(file.read_bytes().rfind(b"\n") + 1)
    goes_on(claude.answered("a5", "u4", "Done"), {"type": "ai-title", "aiTitle": "A title"})
    assert cron().startswith("1 appended to; 1 message")
    goes_on(claude.asked("u6", "a2", "rewound"), claude.answered("a7", "u6", "again"))
    assert cron().startswith("1 copied as ID#LEAF; ")
    compacted = {"subtype": "compact_boundary", "logicalParentUuid": "a7"}
    goes_on(
        claude.line("system", "s8", None, **compacted),
        claude.asked("u9", "s8", "what was said", isCompactSummary=True),
        claude.answered("a10", "u9", "on"),
    )
    assert cron().startswith("1 appended to; 2 messages")
    file.unlink()
    (tmp_path / "projects" / "-home-dev" / "other.jsonl").write_bytes(
        claude_lines(claude.asked("u1", None, "new", sessionId="other"))
    )
    assert cron().startswith("1 copied; 1 message")
    assert said(archive) == {
        claude.SESSION: ["q", "Let me", "r", "Done"],
        f"{claude.SESSION}#a7": ["q", "Let me", "r", "rewound", "again", "what was said", "on"],
        "other": ["new"],
    }


def test_a_source_that_was_emptied_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("SYNMEM_CONFIG", str(tmp_path / "config.toml"))
    folder, archive = tmp_path / "projects", tmp_path / "archive.db"
    by_path = f"{folder}?layout=claude_code"
    file = folder / claude.FILE
    file.parent.mkdir(parents=True)
    made = run("profile", "add", "mine", by_path)
    assert made.exit_code == 0, made.stderr
    file.write_bytes(claude_lines(claude.asked("u1", None, "q")))
    sources = ("claude-code", by_path, "mine", folder)
    for source in sources:
        archived(source, archive)
    for prune in (lambda: file.write_bytes(b""), file.unlink, file.parent.rmdir):
        prune()
        for source in sources:
            told, receipt = archived(source, archive)
            assert told.startswith("nothing to archive: "), told
            assert "0 conversations; 0 messages written" in told
            assert receipt["conversations"] == []
            assert receipt["source"] in (str(folder), by_path, "claude-code")
            assert run("migrate", source, archive).exit_code == (1 if source == folder else 3)
    assert said(archive) == {claude.SESSION: ["q"]}


def test_a_source_that_is_not_there_or_not_what_it_was_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(tmp_path))
    folder, archive = tmp_path / "projects", tmp_path / "archive.db"
    by_path = f"{folder}?layout=claude_code"
    for source, code in (("claude-code", 3), (by_path, 2)):
        assert run("migrate", source, archive, "--archive").exit_code == code
    file = folder / claude.FILE
    file.parent.mkdir(parents=True)
    (tmp_path / "other").mkdir()
    assert run("migrate", tmp_path / "other", archive, "--archive").exit_code == 1  # nobody's
    file.write_bytes(b"something else")
    for source in ("claude-code", by_path, folder):
        assert run("migrate", source, archive, "--archive").exit_code == 1
    assert not archive.exists()


def test_a_dry_run_says_what_each_would_become(tmp_path: Path) -> None:
    source = webui(tmp_path / "webui.db", ("one", "T", ["q", "a"]), ("two", "T", ["x"]))
    archive = tmp_path / "archive.db"
    archived(source, archive)
    webui(source, ("one", "T", ["q", "b"]), ("two", "new", ["x"]))
    before = archive.read_bytes()
    done = run("migrate", source, archive, "--archive", "--dry-run")
    assert (done.exit_code, done.stdout) == (0, "append\t0\ttwo\nbranch\t2\tone#b\n")
    assert "1 would be copied as ID#LEAF; 2 messages would be written" in done.stderr
    assert archive.read_bytes() == before


@pytest.mark.parametrize("kind", EVERY)
def test_an_archive_is_any_store_that_is_written(kind: str, places: Places, tmp_path: Path) -> None:
    place, file = places.of(kind), tmp_path / "source.jsonl"
    steps = [
        (["1", "2", "3", "4", "5", "6"], "6 messages written and verified"),
        (["3", "4", "5", "6", "7"], "1 message written and verified"),  # a window
        (["1", "2", "x"], "3 messages written and verified"),
        (["1", "2", "x", "y"], "1 message written and verified"),
        (["2", "3"], "0 messages written"),
    ]
    whole = kind in BACKENDS  # it holds times
    if whole:
        steps.insert(4, (["1", "2", "x", "y and more"], "1 message written and verified"))
    for texts, told in steps:
        file.write_text("".join(json.dumps(
            {"conversation_id": "a", "role": "user", "content": text,
             "created_at": f"2026-01-01T00:00:{'1234567xy'.index(text[0]):02}Z"}
        ) + "\n" for text in texts))  # fmt: skip
        for again in (told, "0 messages written"):
            done = run("migrate", file, place, "--archive", "--json")
            assert done.exit_code == 0, done.stderr
            assert again in done.stderr
    lines = run("export", "-p", place).stdout.splitlines()
    found: dict[str, list[str]] = {}
    for line in map(json.loads, lines):
        found.setdefault(line["conversation_id"], []).append(line["content"])
    assert found.pop("a") == [*"1234567"]
    assert [*found.values()] == [["1", "2", "x", "y and more" if whole else "y"]]


def test_an_older_export_beside_a_newer_one_changes_nothing(tmp_path: Path) -> None:
    archive = tmp_path / "archive.db"
    for name, texts in (("new", ["1", "2", "3"]), ("old", ["1", "2"]), ("window", ["2", "3"])):
        (tmp_path / f"{name}.jsonl").write_bytes(lines({"a": texts}))
        done = run("import", tmp_path / f"{name}.jsonl", "-p", archive, "--archive")
        assert done.exit_code == 0, done.stderr
        assert said(archive) == {"a": ["1", "2", "3"]}
    (tmp_path / "other.jsonl").write_bytes(lines({"a": ["1", "x"]}))
    files = [tmp_path / f"{name}.jsonl" for name in ("old", "other", "window")]
    for _ in range(2):
        done = run("import", *files, "-p", archive, "--archive")
        assert done.exit_code == 0, done.stderr
        found = said(archive)
        assert found.pop("a") == ["1", "2", "3"]
        assert [*found.values()] == [["1", "x"]]


def test_what_does_not_go_together_is_refused(tmp_path: Path) -> None:
    source = make(tmp_path / "source.db", {"a": ["1"]})
    for options, why in (
        (["--archive", "--on-conflict", "replace"], "--archive and --on-conflict replace"),
        (["--id-as", "{host}/{layout}"], "{id}, once"),
        (["--id-as", "{id}{id}"], "{id}, once"),
        (["--id-as", "{id}/{user}"], "no placeholder {user}"),
        (["--id-as", "{id!r}"], "no placeholder {id"),
        (["--id-as", "{id"], "'{id'"),
        (["--id-as", "x" * 1024 + "{id}"], "1025 bytes"),
    ):
        for command in (["migrate", source, tmp_path / "d.db"], ["import", source]):
            done = run(*command, *options)
            assert done.exit_code == 2
            assert why in done.stderr
    assert not (tmp_path / "d.db").exists()
    assert run("check", source, "--id-as", "x{id}").exit_code == 2
    done = run("check", source, "--id-as", "x{id}", "--receipt", source)
    assert (done.exit_code, "the receipt says" in done.stderr) == (2, True)


# --- cut short, and two at once -------------------------------------------------------------

MANY = {f"c{n}": [f"{n} {m}" for m in range(40)] for n in range(120)}
MOVED = {name: [*texts[:20], *(f"{name} again {m}" for m in range(40))] for name, texts in MANY.items()}  # fmt: skip


def test_killed_at_any_moment_the_next_run_completes_it(tmp_path: Path) -> None:
    first = make(tmp_path / "first.db", MANY)
    then = make(tmp_path / "then.db", MOVED, title="T")
    for i in range(4):
        archive = tmp_path / f"archive{i}.db"
        assert run("migrate", first, archive, "--archive").exit_code == 0
        process = start("migrate", str(then), str(archive), "--archive")
        size = archive.stat().st_size
        while archive.stat().st_size == size and process.poll() is None:
            time.sleep(0.005)
        time.sleep(0.1 * i)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        assert run("migrate", then, archive, "--archive").exit_code == 0
        before = archive.read_bytes()
        done = run("migrate", then, archive, "--archive")
        assert done.stderr == "120 conversations: 120 equal already; 0 messages written\n"
        assert archive.read_bytes() == before
        found = said(archive)
        assert len(found) == 240
        assert all(found.pop(name) == texts for name, texts in MANY.items())
        assert sorted(found.values()) == sorted(MOVED.values())


def test_of_two_runs_at_once_both_end_well_and_nothing_is_there_twice(tmp_path: Path) -> None:
    first = make(tmp_path / "first.db", MANY)
    then = make(tmp_path / "then.db", MOVED, title="T")
    archive = tmp_path / "archive.db"
    assert run("migrate", first, archive, "--archive").exit_code == 0
    runs = [start("migrate", str(then), str(archive), "--archive") for _ in range(2)]
    for process in runs:
        _, told = process.communicate()
        assert process.returncode == 0, told
    found = said(archive)
    assert len(found) == 240
    assert sorted(found.values()) == sorted([*MANY.values(), *MOVED.values()])


# --- other names ----------------------------------------------------------------------------


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Gives this machine another name."""
    return lambda name: monkeypatch.setattr(socket, "gethostname", lambda: name)


def test_two_machines_in_one_archive_do_not_meet(tmp_path: Path, on: Any) -> None:
    archive, names = tmp_path / "archive.db", ("--id-as", "{host}/{layout}/{id}")
    laptop = webui(tmp_path / "laptop.db", ("one", "T", ["q", "a"]))
    desktop = webui(tmp_path / "desktop.db", ("one", "U", ["q", "b"]), ("two", "T", ["x"]))
    on("laptop.example.org")
    archived(laptop, archive, *names)
    webui(laptop, ("one", "T", ["q", "c"]))
    _, receipt = archived(laptop, archive, *names)
    assert receipt["id_as"] == "{host}/{layout}/{id}"
    assert receipt["conversations"][0]["source_id"] == "one"
    assert receipt["conversations"][0]["conversation_id"] == "laptop/open_webui/one#c"
    done = run("check", archive, "--receipt", tmp_path / "receipt.json", "--match", "one", "--json")
    assert json.loads(done.stdout)["receipt"]["id_as"] == "{host}/{layout}/{id}"
    assert [each["state"] for each in json.loads(done.stdout)["conversations"]] == ["="]
    done = run("check", archive, "--receipt", tmp_path / "receipt.json", "--match", "laptop*")
    assert (done.exit_code, done.stderr) == (0, "no conversations\n")
    on("desktop")
    archived(desktop, archive, *names)
    assert said(archive) == {
        "desktop/open_webui/one": ["q", "b"],
        "desktop/open_webui/two": ["x"],
        "laptop/open_webui/one": ["q", "a"],
        "laptop/open_webui/one#c": ["q", "c"],
    }
    assert run("check", desktop, archive, *names).exit_code == 0
    webui(desktop, ("two", "T", ["x", "y"]))
    done = run("check", desktop, archive, *names, "--json")
    assert done.exit_code == 7
    assert [(each["conversation_id"], each["destination_id"], each["state"])
            for each in json.loads(done.stdout)["conversations"]] == [
        ("two", "desktop/open_webui/two", "<"), ("one", "desktop/open_webui/one", "-"),
    ]  # fmt: skip
    done = run("check", desktop, archive, *names, "--match", "two")
    assert done.stdout == "< two (as desktop/open_webui/two)  from message 2 on\n"


def test_a_name_may_say_whose_it_is_and_a_conflict_names_both(tmp_path: Path) -> None:
    source = make(tmp_path / "chat.db", {"a": ["1"], "b": ["1"]})
    dest, names = tmp_path / "dest.db", ("--id-as", "{profile}:{id}@{layout}")
    assert run("migrate", source, dest, *names, "--match", "a").exit_code == 0
    assert said(dest) == {"chat.db:a@sqlite": ["1"]}
    (tmp_path / "2").mkdir()
    other = make(tmp_path / "2" / "chat.db", {"a": ["2"]})
    done = run("migrate", other, dest, *names)
    assert done.exit_code == 6
    assert "a (as chat.db:a@sqlite): different: message 1: content\n" in done.stderr
    (tmp_path / "x.jsonl").write_bytes(lines({"a": ["1"]}))
    assert run("import", tmp_path / "x.jsonl", "-p", dest, *names).exit_code == 0
    assert sorted(said(dest)) == ["chat.db:a@sqlite", "x.jsonl:a@file"]


def test_what_is_moved_under_another_name_is_brought_back_under_its_own(tmp_path: Path) -> None:
    source = make(tmp_path / "chat.db", {"a": ["1"], "b": ["2"]}, title="T")
    before, dest = said(source), tmp_path / "dest.db"
    done = run("migrate", source, dest, "--move", "--yes", "--id-as", "h/{id}")
    assert done.exit_code == 0, done.stderr
    assert (said(source), sorted(said(dest))) == ({}, ["h/a", "h/b"])
    assert run("undo").exit_code == 0
    assert said(source) == before


def test_what_a_destination_refuses_is_imported_later_under_the_name_it_was_to_have(tmp_path: Path) -> None:  # fmt: skip
    source = make(tmp_path / "chat.db", {"a": ["1"]})
    lost = tmp_path / "lost.jsonl"
    long = "x" * 1020
    make(source, {long: ["2"]})
    done = run("migrate", source, tmp_path / "dest.db", "--id-as", "host/{id}", "--rejects", lost)
    assert done.exit_code == 6
    assert f"{long} (as host/{long}): refused: as 'host/" in done.stderr
    (line,) = [json.loads(each) for each in lost.read_text().splitlines()]
    assert (line["conversation_id"], line["content"], line["at"]) == (f"host/{long}", "2", 0)


def test_hostile_ids_and_leaves_pass_the_gate(tmp_path: Path) -> None:
    source = webui(tmp_path / "webui.db", ("\x1b[31mred", "T", ["q", "a"]))
    archive = tmp_path / "archive.db"
    archived(source, archive)
    webui(source, ("\x1b[31mred", "T", ["q", "\x1b]0;x\x07"]))
    done = in_pipe("migrate", str(source), str(archive), "--archive", "--dry-run")
    assert done.returncode == 0
    archived(source, archive)
    assert {*said(archive)} == {"\x1b[31mred", "\x1b[31mred#\x1b]0;x\x07"}


def test_exports_of_chatgpt_are_archived_by_the_ids_of_their_branches(tmp_path: Path) -> None:
    archive, files = tmp_path / "archive.db", [tmp_path / "monday.json", tmp_path / "tuesday.json"]
    export = (FIXTURES / "chatgpt-export" / "conversations.json").read_text()
    branch = "chatgpt/00000000-0000-4000-8000-000000000090"
    leaf = "00000000-0000-4000-8000-00000000090"
    files[0].write_text(export)
    files[1].write_text(export.replace(f'"current_node": "{leaf}9"', f'"current_node": "{leaf}8"'))
    assert files[0].read_text() != files[1].read_text()
    options = ("-p", archive, "--archive", "--id-as", "{layout}/{id}")
    for each in files:
        assert run("import", each, *options).exit_code == 0
    found = said(archive)
    assert len(found) == 8
    assert {f"{branch}", f"{branch}#{leaf}8"} <= {*found}
    before = archive.read_bytes()
    done = run("import", *files, *options)
    assert (done.exit_code, archive.read_bytes()) == (0, before), done.stderr
