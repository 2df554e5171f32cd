"""Files of other programs on the command line, and what in data no message can hold exactly."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.cli.moved import lines, run
from tests.cli.places import Places


def line(**told: Any) -> dict[str, Any]:
    return {"conversation_id": "c", "role": "user", "content": "x", **told}


def exported(place: Path) -> list[dict[str, Any]]:
    return [json.loads(each) for each in run("export", "-p", place).stdout.splitlines()]


def write(path: Path, form: str, *messages: dict[str, Any]) -> Path:
    file = path / f"given.{form}"
    if form == "json":
        file.write_text(json.dumps(list(messages)))
    elif form == "csv":
        import csv

        with file.open("w", newline="") as to:
            rows = csv.DictWriter(to, sorted({key for each in messages for key in each}))
            rows.writeheader()
            rows.writerows(messages)
    else:
        file.write_text("".join(json.dumps(each) + "\n" for each in messages))
    return file


@pytest.mark.parametrize("form", ["jsonl", "json", "csv"])
def test_import_takes_times_of_a_zone_that_it_is_told(tmp_path: Path, form: str) -> None:
    file = write(
        tmp_path, form,
        line(conversation_id=1001, created_at="2026-07-01T12:00:00"),
        line(conversation_id=1001, created_at=1701011312345),
    )  # fmt: skip
    place = tmp_path / "chat.db"
    refused = run("import", file, "-p", place)
    assert refused.exit_code == 6
    assert "--timezone" in refused.stderr
    result = run("import", file, "-p", place, "--timezone", "+02:00")
    assert result.exit_code == 0, result.stderr
    assert [(each["conversation_id"], each["created_at"]) for each in exported(place)] == [
        ("1001", "2026-07-01T10:00:00Z"), ("1001", "2023-11-26T15:08:32.345000Z"),
    ]  # fmt: skip
    assert run("check", f"{file}?timezone=UTC", place).exit_code == 7
    assert run("check", f"{file}?timezone=%2B02:00", place).exit_code == 0
    for zone in ("Mars/Base", "+25:00", "-24:00", "+02:75"):
        wrong = run("import", file, "-p", place, "--timezone", zone)
        assert wrong.exit_code == 2
        assert f"no time zone {zone!r} (Europe/Berlin" in wrong.stderr


@pytest.mark.parametrize("first", [1001, "1001"])
def test_a_number_and_a_text_that_look_alike_are_not_joined(tmp_path: Path, first: Any) -> None:
    second = 1001 if first == "1001" else "1001"
    file = write(
        tmp_path, "jsonl", line(conversation_id=first), line(conversation_id="other"),
        line(conversation_id=second), line(conversation_id="other"),
    )  # fmt: skip
    result = run("import", file, "-p", tmp_path / "chat.db")
    assert result.exit_code == 6
    assert "given.jsonl:3" in result.stderr
    assert "number here and text elsewhere" in result.stderr or "perhaps two" in result.stderr


@pytest.mark.parametrize("form", ["jsonl", "json", "csv"])
def test_times_finer_than_microseconds_are_counted_in_one_note(tmp_path: Path, form: str) -> None:
    file = write(
        tmp_path, form,
        line(created_at="2026-01-01T00:00:00.1234567Z"),
        line(created_at="2026-01-01T00:00:00,123456789+00:00"),
        line(created_at="2026-01-01T00:00:00.1234560Z"),
        line(content='say "created_at":"2026-01-01T00:00:00.1234567Z"'),
    )  # fmt: skip
    place = tmp_path / "chat.db"
    result = run("import", file, "-p", place)
    assert result.exit_code == 0, result.stderr
    assert result.stderr.count("finer than microseconds") == 1
    assert "2 times are finer than microseconds, and rounded" in result.stderr
    assert [each.get("created_at") for each in exported(place)] == [
        "2026-01-01T00:00:00.123457Z", "2026-01-01T00:00:00.123457Z",
        "2026-01-01T00:00:00.123456Z", None,
    ]  # fmt: skip
    checked = run("check", file, place)
    assert checked.exit_code == 0
    assert "finer than microseconds" in checked.stderr
    alone = run("check", file)
    assert alone.exit_code == 0
    assert "finer than microseconds" in alone.stdout + alone.stderr


@pytest.mark.parametrize("number", ["1e400", "-1e400", "123456789" * 40 + ".5"])
@pytest.mark.parametrize("form", ["jsonl", "json", "csv"])
def test_a_number_that_no_float_holds_is_refused_where_it_stands(
    tmp_path: Path, form: str, number: str
) -> None:
    good = {"conversation_id": "good", "role": "user", "content": "x"}
    told = {
        "jsonl": '{"conversation_id": "c", "role": "user", "content": "y", "metadata": {"a": %s}}\n'
        + json.dumps(good) + "\n",
        "json": '[{"conversation_id": "c", "messages": [{"role": "user", "content": "y", '
        '"metadata": {"a": %s}}]}, ' + json.dumps(good) + "]",
        "csv": 'conversation_id,role,content,metadata\nc,user,y,"{""a"": %s}"\ngood,user,x,\n',
    }[form]  # fmt: skip
    file = tmp_path / f"given.{form}"
    file.write_text(told % number)
    place = tmp_path / "chat.db"
    result = run("import", file, "-p", place, "--rejects", tmp_path / "left.jsonl")
    assert result.exit_code == 6
    assert "too large" in result.stderr
    assert [each["conversation_id"] for each in exported(place)] == ["good"]
    assert number[:9] in (tmp_path / "left.jsonl").read_text()
    assert "Infinity" not in (tmp_path / "left.jsonl").read_text()
    refused = run("add", "-p", place, "c", "x", "--metadata", f'{{"a": {number}}}')
    assert refused.exit_code == 2
    assert "too large" in refused.stderr


@pytest.mark.parametrize("backend", ["sqlite", "redis"])
def test_a_number_that_no_float_holds_is_named_in_a_store(
    places: Places, backend: str, tmp_path: Path
) -> None:
    place = places.new(backend)
    run("import", "-p", place, stdin=lines({"bad": ["x", "y"], "good": ["z"]}))
    if backend == "sqlite":
        with sqlite3.connect(place) as db:
            db.execute("UPDATE messages SET metadata = '{\"a\": 1e400}' WHERE content = 'y'")
        db.close()
    else:
        import redis

        with redis.Redis.from_url(place.partition("?")[0]) as raw:
            [key] = raw.keys("*:bad:messages")
            item = {"role": "user", "content": "y", "metadata": {"a": 0.5}}
            raw.lset(key, 1, json.dumps(item).replace("0.5", "1e400"))
    other = tmp_path / "other.db"
    for asked in (
        ["export", "-p", place], ["export", "-p", place, "--json"],
        ["export", "-p", place, "-f", "csv"], ["show", "bad", "-p", place],
        ["check", place], ["migrate", place, other],
    ):  # fmt: skip
        result = run(*asked)
        assert result.exit_code == 6, asked
        assert "1e400" in result.stderr + result.stdout, asked
        assert "Infinity" not in result.stdout, asked
    assert [each["content"] for each in exported(other)] == ["x", "z"]


def test_a_history_as_openai_has_it_is_taken_and_said(tmp_path: Path) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"q": 1}'}}
    given = [
        line(content="what?"),
        line(role="assistant", content=None, tool_calls=[call]),
        line(role="tool", content=[{"type": "text", "text": "42"}], tool_call_id="c1"),
    ]
    file = write(tmp_path, "jsonl", *given)
    place = tmp_path / "chat.db"
    assert run("import", file, "-p", place).exit_code == 0
    assert run("check", file, place).exit_code == 0
    _, called, result = exported(place)
    assert (called["content"], called["tool_calls"]) == ("", [call])
    assert (result["content"], result["parts"]) == ("42", given[2]["content"])
    sent = json.loads(run("context", "c", "-p", place, "-f", "openai").stdout)
    assert sent[1]["tool_calls"] == [call]
    assert "look" in run("context", "c", "-p", place, "-f", "text").stdout
    assert "calls look (c1)" in run("show", "c", "-p", place, "-f", "markdown").stdout
