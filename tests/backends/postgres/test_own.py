"""Tables with columns that are not ours: nothing in them is lost on any way, and the store says
beforehand what a table would not take back."""

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from synmem.errors import Rejected, StoreError, Unsupported
from synmem.messages import Conversation, Message
from synmem.store import START, Part, SupportsTrial, once
from tests.backends.postgres.test_store import Place, place, role, write
from tests.conformance import AT, FULL, add, begin, contents, items, numbered, run

__all__ = ["place"]  # a fixture

OWN = """
    ADD tenant text NOT NULL, ADD org uuid, ADD n int, ADD small smallint, ADD big bigint,
    ADD yes boolean, ADD tags text[], ADD payload bytea, ADD price numeric(10, 2), ADD x float8,
    ADD at timestamptz, ADD day date, ADD short varchar(5), ADD padded char(4), ADD bits bit(3),
    ADD j json, ADD jb jsonb, ADD span int4range, ADD "session" text, ADD "odd ""name" text,
    ADD mood {0}_mood, ADD dom {0}_dom, ADD filled text DEFAULT 'by the server',
    ADD made int GENERATED ALWAYS AS (length(content)) STORED, ADD d int[] DEFAULT '{{7}}'
"""

VALUES: dict[str, Any] = {
    "tenant": "it's \"one\"", "org": "0e984725-c51c-4bf4-9960-e1c80e27aba0", "n": -5, "small": 0,
    "big": 2**62, "yes": False, "tags": '{a,"b c",NULL}', "payload": "\\x00ff", "price": "12.50",
    "x": "0.1", "at": "2026-11-21T06:00:00.123456Z", "day": "2026-11-21", "short": "é",
    "padded": "ab", "bits": "101", "j": '{"b": 1, "a": 1.0}', "jb": '{"a": 1.50}',
    "span": "[1,5)", "session": "s", 'odd "name': "o", "mood": "fine", "dom": "3",
}  # fmt: skip


@pytest.fixture
def own(place: Place) -> Iterator[Place]:
    """A table to which somebody added columns of every kind."""
    write(place, "gone", numbered(1))
    place.rows("DELETE FROM {}")
    place.rows(f"CREATE TYPE {place.table}_mood AS ENUM ('fine', 'bad')")
    place.rows(f"CREATE DOMAIN {place.table}_dom AS int CHECK (VALUE < 10)")
    place.rows("ALTER TABLE {}" + OWN.format(place.table).replace("{", "{{").replace("}", "}}"))
    yield place
    place.drop()
    place.rows(f"DROP TYPE {place.table}_mood")
    place.rows(f"DROP DOMAIN {place.table}_dom")


def fill(place: Place, session: str, count: int, **values: Any) -> None:
    """Rows that another program wrote, with something in each column but those left to it."""
    values = VALUES | values
    names = ", ".join('"' + name.replace('"', '""') + '"' for name in values)
    texts = ", ".join(
        "NULL" if value is None else "'" + str(value).replace("'", "''") + "'"
        for value in values.values()
    ).replace("{", "{{").replace("}", "}}")  # fmt: skip
    place.rows(
        f"INSERT INTO {{}} (session_id, role, content, metadata, created_at, {names}) "
        f"SELECT $1, 'user', 'message ' || k, '{{{{\"k\": 1.50}}}}', now(), {texts} "
        "FROM generate_series(0, $2::int - 1) AS k",
        session, count,
    )  # fmt: skip


def whole(place: Place) -> list[Any]:
    """Every row as it is, but for its id."""
    rows = place.rows("SELECT session_id, (to_jsonb(t) - 'id')::text FROM {} AS t ORDER BY 1, id")
    return [tuple(row) for row in rows]


def message(**own: Any) -> Message:
    return Message("user", "x", extra={"synmem": own})


def test_what_is_in_them_is_read_into_extra(own: Place) -> None:
    fill(own, "c", 1)
    fill(own, "d", 1, filled=None, d=None, n=None, tags=None, padded="")

    async def main() -> None:
        async with own.opened() as store:
            (one,) = await items(store, "c")
            assert one.extra == {
                "synmem": VALUES | {"filled": "by the server", "d": "{7}", "padded": "ab"}
            }
            assert one.content == "message 0"
            (other,) = await items(store, "d")
            expected = VALUES | {"filled": None, "d": None, "padded": ""}
            for name in ("n", "tags"):
                del expected[name]
            assert other.extra == {"synmem": expected}
            pages = [page async for page in store.read(["c", "d"])]
            assert [page.items for page in pages] == [[one], [other]]
            pages = [page async for page in store.read(["c", "d"], reverse=True, limit=1)]
            assert [page.items for page in pages] == [[one], [other]]

    run(main())


def test_a_time_is_the_same_in_every_zone(own: Place) -> None:
    with role(own) as (name, dsn):
        own.rows(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {name}")
        own.rows(f"ALTER ROLE {name} SET timezone = 'Asia/Kolkata'")
        for at in (VALUES["at"], "infinity"):
            fill(own, at, 1, at=at)

        async def main() -> None:
            async with own.opened(dsn=dsn) as store:
                for at in (VALUES["at"], "infinity"):
                    (found,) = await items(store, at)
                    assert found.extra["synmem"]["at"] == at

        run(main())


@pytest.mark.parametrize("count", [3, 150])
@pytest.mark.parametrize("way", ["append", "replace", "front"])
def test_what_is_removed_and_written_back_keeps_every_column(
    own: Place, count: int, way: str
) -> None:
    fill(own, "c", count)
    fill(own, "c", 1, filled=None, n=None)
    fill(own, "c", 1, filled="else", d="{}")
    own.rows("UPDATE {} SET metadata = '{{\"k\": 1}}'")
    fill(own, "other", 1)
    before = whole(own)

    async def main() -> None:
        async with own.opened(write=True) as store:
            messages = await items(store, "c")
            assert await store.refuses_back(["c", "other"]) == {}
            if way == "append":
                await store.delete("c")
                await add(store, "c", messages)
            elif way == "replace":
                await store.delete("c")
                await store.replace(Conversation("c"), once(messages), upto=START)
            else:
                first = [page.position(0) async for page in store.read(["c"], limit=count)]
                await store.delete("c", upto=first[-1])
                left = len(await items(store, "c"))
                assert 0 < left < len(messages)
                back = once(messages[: len(messages) - left])
                begins = await begin(store, "c")
                await store.replace(Conversation("c"), back, upto=START, begins=begins)
            assert await items(store, "c") == messages

    run(main())
    assert whole(own) == before


def test_what_is_left_out_is_what_the_server_gives(own: Place) -> None:
    async def main() -> None:
        async with own.opened(write=True) as store:
            for count in (1, 150):
                given = [message(tenant="t", n=n) if n % 3 else message(tenant="t", filled=None)
                         for n in range(count)]  # fmt: skip
                await add(store, "c", given)

    run(main())
    rows = own.rows("SELECT n, filled, d FROM {} ORDER BY id")
    expected = [(n, "by the server", [7]) if n % 3 else (None, None, [7]) for n in range(150)]
    assert [tuple(row) for row in rows] == [expected[0], *expected]


def test_what_is_no_column_stays_where_it_was(own: Place) -> None:
    given = [
        Message("user", "x\x00", {"f": 1.0}, AT, extra={"synmem": {"tenant": "t", "more": {"k": None}, "filled": "f", "d": "{}"}, "other": 5}),
        Message("user", "x", extra={"synmem": {"tenant": "t", "n": None, "filled": None, "d": None}}),
        FULL,
    ]  # fmt: skip
    given[2] = Message(
        **{**{f: getattr(FULL, f) for f in ("role", "content", "metadata", "created_at", "tool_calls", "tool_call_id", "name", "parts")},
           "extra": {**(FULL.extra or {}), "synmem": {"tenant": "t", "filled": "x", "d": "{1}"}}}
    )  # fmt: skip

    async def main() -> None:
        async with own.opened(write=True) as store:
            await add(store, "c", given)
            await store.replace(Conversation("d"), once(given), upto=START)
            assert await items(store, "c") == given
            assert await items(store, "d") == given

    run(main())
    texts = [row[0] for row in own.rows("SELECT extra::text FROM {} WHERE session_id = 'c'")]
    assert json.loads(texts[0]) == {"synmem": {"more": {"k": None}}, "other": 5}
    assert json.loads(texts[1]) == {"synmem": {"n": None}}
    assert json.loads(texts[2]) == FULL.extra


def test_a_table_of_ours_alone_keeps_what_such_a_table_had(own: Place) -> None:
    fill(own, "c", 1)

    async def main() -> None:
        async with own.opened() as store, own.opened(write=True, table=f"{own.table}x") as plain:
            messages = await items(store, "c")
            await add(plain, "c", messages)
            assert await items(plain, "c") == messages
            assert await plain.refuses_back(["c"]) == {}

    try:
        run(main())
    finally:
        for ending in ("_meta", "_calls", ""):
            own.rows(f'DROP TABLE "{own.table}x{ending}"')


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [("n", "5", "n is not an integer"), ("n", True, "n is not an integer"),
     ("yes", 1, "yes is not a boolean"), ("tenant", 5, "tenant is not text"),
     ("jb", {"k": 1}, "jb is not text"), ("tenant", "a\x00", "NUL"), ("tenant", "\ud800", "lone")],
)  # fmt: skip
def test_another_kind_of_value_is_refused_without_asking_the_server(
    own: Place, name: str, value: Any, why: str
) -> None:
    async def main() -> None:
        async with own.opened(write=True) as store:
            bad = message(**{"tenant": "t", name: value})
            assert why in str(store.refusal(bad))
            with pytest.raises(Rejected, match=why):
                await add(store, "c", [bad])
            with pytest.raises(Rejected, match=why):
                await store.replace(Conversation("c"), once([bad]), upto=START)
            assert "not an object" in str(store.refusal(Message("u", "x", extra={"synmem": 5})))

    run(main())
    assert whole(own) == []


@pytest.mark.parametrize("count", [5, 150])
@pytest.mark.parametrize(
    ("name", "value"),
    [("org", "no uuid"), ("n", 2**40), ("short", "longer"), ("dom", "11"), ("tags", "{"),
     ("mood", "so"), ("at", "yesterweek"), ("tenant", None)],
)  # fmt: skip
def test_what_cannot_be_cast_is_rejected_by_conversation_and_message(
    own: Place, name: str, value: Any, count: int
) -> None:
    good = message(tenant="t", n=1)
    bad = message(**{"tenant": "t", "n": 1, name: value})
    messages = [good] * count
    messages[1] = messages[-1] = bad

    async def main() -> None:
        async with own.opened(write=True) as store:
            await add(store, "nul\x00", [good])
            parts = [Part(Conversation("a"), [good]), Part(Conversation("nul\x00"), messages)]
            with pytest.raises(Rejected) as caught:
                await store.append(parts)
            places = [(name, index) for name, index, _ in caught.value.reasons]
            assert places == [("nul\x00", 1), ("nul\x00", count - 1)]
            with pytest.raises(Rejected) as caught:
                await store.replace(Conversation("a"), once(messages), upto=START)
            places = [(name, index) for name, index, _ in caught.value.reasons]
            assert places == [("a", 1), ("a", count - 1)]
            assert [m.content for m in await items(store, "nul\x00")] == ["x"]
            await add(store, "nul\x00", [good])

    run(main())
    assert len(whole(own)) == 2


@pytest.mark.parametrize("count", [1, 150])
def test_a_column_that_must_be_filled_and_is_not_is_named(own: Place, count: int) -> None:
    async def main() -> None:
        async with own.opened(write=True) as store:
            with pytest.raises(StoreError, match='"tenant"') as caught:
                await add(store, "c", numbered(count))
            assert "default" in str(caught.value.hint)
            with pytest.raises(StoreError, match='"tenant"'):
                await store.replace(Conversation("c"), once(numbered(count)), upto=START)
            assert await contents(store, "c") == []

    run(main())


def test_values_that_have_no_room_do_not_hide_the_other_messages(own: Place) -> None:
    fill(own, "c", 3)
    own.rows("UPDATE {} SET extra = '{{\"synmem\": 5}}' WHERE content = 'message 1'")

    async def main() -> None:
        async with own.opened(write=True) as store:
            found = await items(store, "c")
            assert "extra.synmem is not an object" in found[1].reason
            assert (found[0].content, found[2].content) == ("message 0", "message 2")

    run(main())


def test_the_copy_as_csv_is_left_to_the_ordinary_way(own: Place, tmp_path: Any) -> None:
    from tests.backends.sqlite.test_copying import opened as opened_file

    async def main() -> None:
        async with (
            opened_file(tmp_path / "s.db", write=True) as source,
            own.opened(write=True) as dest,
        ):
            await add(source, "a", numbered(3))
            assert await dest.copy(source, [Conversation("a")]) == ([], [])
            await add(dest, "a", [message(tenant="t")])
            assert await dest.digests(["a"]) == {}

    run(main())


# --- whether the table would take back what is taken from it ---


def trial(place: Place, names: list[str], expected: dict[str, str], **how: Any) -> None:
    """What is said of these conversations; and nothing is another afterwards."""
    everything = f'SELECT t.*::text FROM {{}} AS t ORDER BY 1; SELECT * FROM "{place.table}_meta"'
    before = [place.rows(sql) for sql in everything.split(";")]

    async def main() -> None:
        async with place.opened(write=True, **how) as store:
            trying: object = store
            assert isinstance(trying, SupportsTrial)
            found = await store.refuses_back(names)
            assert found.keys() == expected.keys(), found
            for name, why in expected.items():
                assert why in found[name]

    run(main())
    assert [place.rows(sql) for sql in everything.split(";")] == before
    ((held,),) = place.rows("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
    assert held == 0


def test_what_is_ours_is_taken_back(place: Place) -> None:
    odd = [Message("user", "a\x00\ud800", {"f": 1.0, "n": 2**70}, AT), FULL]
    names = ["c", "nul\x00", *(f"c{n}" for n in range(1100))]

    async def main() -> None:
        async with place.opened(write=True) as store:
            for name in names[:2]:
                await store.append([Part(Conversation(name, "Title", {"k": 1}), odd)])
                await store.set_note(name, "n", 1)
            await store.append([Part(Conversation(name), numbered(1)) for name in names[2:]])
            await store.call_off([])

    run(main())
    for plain in (True, False):
        if not plain:
            place.rows("ALTER TABLE {} ADD CHECK (id <> 0)")
        trial(place, [*names, "none", "\ud800"], {})
        trial(place, [], {})


def test_numbers_are_compared_by_value_and_digits_that_no_float_has_are_told(place: Place) -> None:
    write(place, "c", numbered(1))
    place.rows("ALTER TABLE {} ADD CHECK (id <> 0)")  # else nothing is tried
    insert = "INSERT INTO {} (session_id, role, content, metadata) VALUES ($1, 'u', 'x', $2)"
    place.rows(insert, "same", '{"a": [1.50, 100, true, "é"], "b": 1e3}')
    place.rows(insert, "digits", '{"a": 0.12345678901234567890}')
    trial(place, ["c", "same", "digits"], {"digits": "metadata"})


def test_what_the_table_does_to_a_row_is_told_by_conversation(own: Place) -> None:
    for name in ("a", "check", "quiet", "altered", "e"):
        fill(own, name, 2)
    own.rows("UPDATE {} SET content = 'short' WHERE session_id = 'check'")
    own.rows("ALTER TABLE {} ADD CONSTRAINT long CHECK (content LIKE 'message%') NOT VALID")
    own.rows("""
        CREATE FUNCTION pg_temp.nothing() RETURNS void LANGUAGE sql AS 'SELECT';
    """)
    name = f"{own.table}_trigger"
    own.rows(f"""
        CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.session_id = 'quiet' THEN RETURN NULL; END IF;
            IF NEW.session_id = 'altered' THEN NEW.tenant := 'other'; END IF;
            RETURN NEW; END $$
    """)
    try:
        own.rows(f"CREATE TRIGGER t BEFORE INSERT ON {{}} FOR EACH ROW EXECUTE FUNCTION {name}()")
        expected = {"check": '"long"', "quiet": "does not stay", "altered": "column tenant"}
        trial(own, ["a", "check", "quiet", "altered", "e"], expected)
    finally:
        own.rows(f"DROP FUNCTION {name} CASCADE")


def test_an_error_of_a_trigger_is_told_of_those_that_it_concerns(place: Place) -> None:
    for session in ("a", "b", "c"):
        write(place, session, numbered(2))
    name = f"{place.table}_trigger"
    place.rows(f"""
        CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF OLD.session_id = 'b' THEN RAISE EXCEPTION 'this one is kept'; END IF;
            RETURN OLD; END $$
    """)
    try:
        place.rows(f"CREATE TRIGGER t BEFORE DELETE ON {{}} FOR EACH ROW EXECUTE FUNCTION {name}()")
        trial(place, ["a", "b", "c"], {"b": "this one is kept"})
    finally:
        place.rows(f"DROP FUNCTION {name} CASCADE")


def test_an_identity_that_only_the_server_gives_and_a_row_that_cannot_be_read_are_told(
    place: Place,
) -> None:
    write(place, "c", numbered(1))
    write(place, "bad", numbered(1))
    place.rows("UPDATE {} SET metadata = '[]' WHERE session_id = 'bad'")
    place.rows("ALTER TABLE {} ADD CHECK (id <> 0)")  # else nothing is tried
    trial(place, ["c", "bad"], {"bad": "metadata"})
    place.rows("ALTER TABLE {} ADD line int GENERATED ALWAYS AS IDENTITY")
    place.rows("ALTER TABLE {} ADD key text GENERATED ALWAYS AS (session_id || id) STORED")
    trial(place, ["c", "bad"], {"bad": "metadata", "c": "column line"})
    assert [m.extra for m in run_items(place, "c")] == [None]


def run_items(place: Place, conversation: str) -> list[Any]:
    async def main() -> list[Any]:
        async with place.opened() as store:
            return await items(store, conversation)

    return run(main())  # type: ignore[no-any-return]


def test_the_row_is_put_back_before_what_is_left_as_replace_would(place: Place) -> None:
    write(place, "one", numbered(1))
    write(place, "two", numbered(2))
    place.rows("ALTER TABLE {} ADD CONSTRAINT above CHECK (id > 0)")
    trial(place, ["one", "two"], {"two": '"above"'})


@pytest.mark.parametrize("how", ["CASCADE", "SET NULL", "NO ACTION DEFERRABLE INITIALLY DEFERRED"])
def test_a_table_that_refers_to_the_rows_is_told(place: Place, how: str) -> None:
    write(place, "c", numbered(1))
    write(place, "d", numbered(1))
    other = f"{place.table}_likes"
    place.rows(
        f"CREATE TABLE {other} (s text, i bigint, "
        f"FOREIGN KEY (s, i) REFERENCES {{}} (session_id, id) ON DELETE {how})"
    )
    try:
        place.rows(f"INSERT INTO {other} SELECT session_id, id FROM {{}} WHERE session_id = 'c'")
        deferred = "DEFERRED" in how
        trial(place, ["c", "d"], {"c": other} if deferred else {"c": other, "d": other})
        assert len(place.rows(f"SELECT FROM {other}")) == 1
    finally:
        place.rows(f"DROP TABLE {other}")


def test_a_role_that_may_remove_and_not_write_is_told_before_anything_is_removed(
    place: Place,
) -> None:
    write(place, "c", numbered(2))
    write(place, "d", numbered(2))
    with role(place) as (name, dsn):
        tables = f'{{}}, "{place.table}_meta", "{place.table}_calls"'
        place.rows(f"GRANT SELECT, DELETE ON {tables} TO {name}")
        denied = {"c": "permission denied", "d": "permission denied"}
        trial(place, ["c", "d", "none"], {**denied}, dsn=dsn)
        place.rows(f"GRANT SELECT, INSERT, UPDATE ON {tables} TO {name}")
        trial(place, ["c", "d"], denied, dsn=dsn)  # it gets no numbers
        place.rows(f'GRANT USAGE ON SEQUENCE "{place.table}_seq" TO {name}')
        trial(place, ["c", "d"], {}, dsn=dsn)
        place.rows(f"REVOKE SELECT ON {{}} FROM {name}")
        place.rows("ALTER TABLE {} ADD secret text")
        ours = "session_id, id, role, content, metadata, created_at, tool_calls, tool_call_id"
        place.rows(f"GRANT SELECT ({ours}, name, parts, extra, carried) ON {{}} TO {name}")
        trial(place, ["c", "none"], {"c": "column secret"}, dsn=dsn)

        async def main() -> None:
            async with place.opened(dsn=dsn) as store:
                assert await contents(store, "c") == ["message 0", "message 1"]
                assert len([page async for page in store.read(["c", "d"])]) == 2
                with pytest.raises(Unsupported):
                    await store.refuses_back(["c"])

        run(main())


def test_the_trial_goes_by_a_transaction_that_is_never_committed(
    own: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it is interrupted, nothing is gone."""
    fill(own, "c", 3)
    before = whole(own)
    steps = ["_remove", "_back", "put_beside", "_difference"]

    async def main() -> None:
        async with own.opened(write=True) as store:
            for step in steps:
                with monkeypatch.context() as patched:
                    patched.setattr(f"synmem.backends.postgres.trial.{step}", stop)
                    with pytest.raises(asyncio.CancelledError):
                        await store.refuses_back(["c"])
            assert await store.refuses_back(["c"]) == {}

    def stop(*_: Any, **__: Any) -> Any:
        raise asyncio.CancelledError

    run(main())
    assert whole(own) == before


# --- every row, and only where something could refuse ---


def refusing(place: Place, condition: str, raises: str = "'not this one'") -> None:
    """A trigger that refuses the rows of which the condition is true."""
    name = f"{place.table}_refuses"
    place.rows(
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION {raises}; END $$"
    )
    place.rows(
        f"CREATE TRIGGER t BEFORE INSERT ON {{}} FOR EACH ROW WHEN ({condition}) "
        f"EXECUTE FUNCTION {name}()"
    )


@pytest.fixture
def ruled(place: Place) -> Iterator[Place]:
    """A table whose rules the test makes."""
    write(place, "gone", numbered(1))
    place.rows("DELETE FROM {}")
    yield place
    place.drop()
    place.rows(f"DROP FUNCTION IF EXISTS {place.table}_refuses CASCADE")


@pytest.mark.parametrize("at_once", [2, 3, 1000])
@pytest.mark.parametrize("rule", ["check", "trigger"])
def test_a_row_that_is_refused_is_found_wherever_it_stands(
    ruled: Place, rule: str, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("synmem.backends.postgres.trial.ROWS_AT_ONCE", at_once)
    for name, count in (("a", 4), ("b", 9), ("c", 1), ("d", 7), ("e", 4), ("f", 8)):
        write(ruled, name, numbered(count))
    ruled.rows("UPDATE {} SET role = 'odd' WHERE content = 'message 6' AND session_id <> 'b'")
    ruled.rows("UPDATE {} SET role = 'odd' WHERE content = 'message 3' AND session_id = 'e'")
    if rule == "check":
        ruled.rows("ALTER TABLE {} ADD CONSTRAINT even CHECK (role <> 'odd') NOT VALID")
    else:
        refusing(ruled, "NEW.role = 'odd'")
    why = '"even"' if rule == "check" else "not this one"
    trial(ruled, [*"abcdef", "none"], {"d": why, "e": why, "f": why})


def test_a_transaction_of_the_trial_has_few_rows(
    ruled: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    from synmem.backends.postgres import trial as postgres_trial

    monkeypatch.setattr(postgres_trial, "ROWS_AT_ONCE", 10)
    monkeypatch.setattr(postgres_trial, "CONVERSATIONS_AT_ONCE", 4)
    for n in range(9):
        write(ruled, f"c{n}", numbered(4 if n else 33))
    ruled.rows("ALTER TABLE {} ADD CHECK (id <> 0)")
    seen: list[tuple[str, int]] = []
    remove = postgres_trial._remove

    async def watched(connection: Any, table: Any, rows: Any) -> None:
        assert len(rows) <= 10
        seen.extend((row[0], row[1]) for row in rows)
        await remove(connection, table, rows)

    monkeypatch.setattr(postgres_trial, "_remove", watched)
    trial(ruled, [f"c{n}" for n in range(9)], {})
    assert sorted(seen) == sorted(tuple(row) for row in ruled.rows("SELECT session_id, id FROM {}"))


def test_what_is_refused_only_together_is_told_of_all(ruled: Place) -> None:
    for name in "abc":
        write(ruled, name, numbered(1))
    name = f"{ruled.table}_refuses"
    ruled.rows(
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF (SELECT count(*) "
        "FROM new_rows) > 2 THEN RAISE EXCEPTION 'too many'; END IF; RETURN NULL; END $$"
    )
    ruled.rows(
        "CREATE TRIGGER t AFTER INSERT ON {} REFERENCING NEW TABLE AS new_rows "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {name}()"
    )
    trial(ruled, ["a", "b"], {})
    trial(ruled, ["a", "b", "c"], dict.fromkeys("abc", "too many"))


@pytest.mark.parametrize(
    "alter",
    [
        "ALTER TABLE {} ADD tenant text",
        "ALTER TABLE {} ADD made int GENERATED ALWAYS AS (length(content)) STORED",
        "ALTER TABLE {} ADD CHECK (id <> 0)",
        "ALTER TABLE {} ADD CHECK (id <> 0) NOT VALID",
        "ALTER TABLE {} ADD EXCLUDE (id WITH =)",
        "ALTER TABLE {} ALTER tool_calls TYPE jsonb, ALTER metadata SET NOT NULL",
        "ALTER TABLE {} ALTER created_at TYPE timestamptz(0)",
        "CREATE UNIQUE INDEX ON {} (session_id, content)",
        "CREATE INDEX ON {} ((1 / id))",
        "CREATE INDEX ON {} (name) WHERE 1 / id > 0",
        "CREATE RULE r AS ON INSERT TO {} WHERE NEW.content = 'b' DO INSTEAD NOTHING",
        "ALTER TABLE {} ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE {} DROP CONSTRAINT {0}_pkey, ADD PRIMARY KEY (id)",
        "trigger",
        "CREATE TABLE {0}_x (s text, i bigint, FOREIGN KEY (s, i) REFERENCES {0})",
        "CREATE TABLE {0}_x (s text PRIMARY KEY); INSERT INTO {0}_x SELECT session_id FROM {0}; "
        "ALTER TABLE {0} ADD FOREIGN KEY (session_id) REFERENCES {0}_x",
        "CREATE TABLE {0}_x () INHERITS ({0})",
        "ALTER TABLE {0}_meta ADD CHECK (length(value) < 1000)",
        "ALTER TABLE {0}_meta ADD tenant text",
        "CREATE UNIQUE INDEX ON {0}_calls (at)",
    ],
)
def test_what_could_refuse_is_tried_and_nothing_else(
    ruled: Place, alter: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from synmem.backends.postgres import trial as postgres_trial

    write(ruled, "c", [Message("user", "x", {"k": 1})])
    ruled.rows("CREATE INDEX ON {} (created_at)")  # it refuses nothing
    tried: list[bool] = []
    real = postgres_trial.refusals

    async def watched(*args: Any) -> Any:
        tried.append(True)
        return await real(*args)

    monkeypatch.setattr(postgres_trial, "refusals", watched)

    async def main() -> None:
        async with ruled.opened(write=True) as store:
            assert await store.refuses_back(["c"]) == {}
            assert not tried
            if alter == "trigger":
                await asyncio.to_thread(refusing, ruled, "NEW.content = 'b'")
            for sql in alter.split("; ") if alter != "trigger" else ():
                await asyncio.to_thread(ruled.rows, sql.replace("{0}", ruled.table))
            await store.refuses_back(["c"])
            assert tried

    try:
        run(main())
    finally:
        ruled.rows(f"DROP TABLE IF EXISTS {ruled.table}_x CASCADE")


# --- a row that the table refuses is Rejected ---


NOT_NULL = "ALTER TABLE {} ADD tenant text NOT NULL"
RULES = {
    NOT_NULL: '"tenant"',
    "ALTER TABLE {} ADD CONSTRAINT good CHECK (content <> 'bad')": '"good"',
    "ALTER TABLE {} ADD CONSTRAINT alone UNIQUE (content)": '"alone"',
    "ALTER TABLE {} ADD CONSTRAINT late UNIQUE (content) DEFERRABLE INITIALLY DEFERRED": '"late"',
    "CREATE INDEX calm ON {} ((1 / (content <> 'bad')::int))": "division by zero",
    "trigger": "not this one",
    "trigger with a code": "not this one",
}


def test_a_unique_index_of_somebodys_own_is_not_taken_for_the_sequence(ruled: Place) -> None:
    write(ruled, "other", [Message("user", "bad")])
    ruled.rows("ALTER TABLE {} ADD CONSTRAINT alone UNIQUE (content)")
    ruled.rows("UPDATE {} SET id = 1000")  # the sequence is behind too, and has a number left

    async def main() -> None:
        async with ruled.opened(write=True) as store:
            with pytest.raises(Rejected, match="alone") as caught:
                await add(store, "a", [*numbered(1), Message("user", "bad")])
            assert [each[:2] for each in caught.value.reasons] == [("a", 1)]

    run(main())


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("count", [2, 150])
def test_what_the_table_refuses_is_rejected_by_conversation_and_message(
    ruled: Place, rule: str, count: int
) -> None:
    write(ruled, "other", [Message("user", "bad", extra={"synmem": {"tenant": "t"}})])
    if "CHECK" in rule or "INDEX" in rule:
        ruled.rows("DELETE FROM {}")
    if rule.startswith("trigger"):
        code = " USING ERRCODE = 'MY001'" if "code" in rule else ""
        refusing(ruled, "NEW.content = 'bad'", f"'not this one'{code}")
    elif rule == NOT_NULL:
        ruled.rows("DELETE FROM {}")
        ruled.rows(rule)
    else:
        ruled.rows(rule)

    def good(name: str, count: int) -> list[Message]:
        extra = {"synmem": {"tenant": "t"}} if rule == NOT_NULL else None
        return [Message("user", f"{name} {n}", extra=extra) for n in range(count)]

    async def main() -> None:
        async with ruled.opened(write=True) as store:
            await add(store, "b", good("old", 2))
            before = await asyncio.to_thread(whole, ruled)
            bad = [*good("b", count - 1), Message("user", "bad")]
            parts = [Part(Conversation("a"), good("a", 3)), Part(Conversation("b"), bad)]
            writes: list[Callable[[], Any]] = [
                lambda: store.append(parts, token="0" * 32),
                lambda: store.append(parts, keep=1),
                lambda: store.append(parts[1:]),
                lambda: store.replace(Conversation("b", "T"), once(bad), upto=START),
            ]
            for write_it in writes:
                with pytest.raises(Rejected, match=RULES[rule]) as caught:
                    await write_it()
                places = [(name, index) for name, index, _ in caught.value.reasons]
                assert places == [("b", count - 1)]
                if rule == NOT_NULL:
                    assert "default" in str(caught.value.hint)
                assert await asyncio.to_thread(whole, ruled) == before
            # What gives way is no reason, and the others go on.
            ended = await add(store, "b", good("more", 1))
            await store.replace(Conversation("b"), once(good("old", 2)), upto=ended)
            await store.append(parts[:1], token="0" * 32)

    run(main())


def test_what_is_refused_beside_the_messages_names_its_conversation(ruled: Place) -> None:
    ruled.rows(f"ALTER TABLE {ruled.table}_meta ADD CONSTRAINT short CHECK (length(value) < 9)")

    async def main() -> None:
        async with ruled.opened(write=True) as store:
            good, bad = Conversation("a", "T"), Conversation("b", "A long title")
            with pytest.raises(Rejected, match='"short"') as caught:
                await store.append([Part(good, numbered(1)), Part(bad, numbered(1))])
            assert [name for name, _, _ in caught.value.reasons] == ["b"]
            with pytest.raises(Rejected, match=r"'b'.*\"short\""):
                await store.replace(bad, once(numbered(1)), upto=START)
            assert await contents(store, "a") == await contents(store, "b") == []

    run(main())


def test_a_removal_that_the_table_refuses_names_its_conversation(ruled: Place) -> None:
    write(ruled, "c\x10", numbered(2))
    other = f"{ruled.table}_likes"
    ruled.rows(f"CREATE TABLE {other} (s text, i bigint, FOREIGN KEY (s, i) REFERENCES {{}})")
    ruled.rows(f"INSERT INTO {other} SELECT session_id, id FROM {{}}")

    async def main() -> None:
        async with ruled.opened(write=True) as store:
            whole_of_it = Conversation("c\x10")
            ended = await store.append([Part(whole_of_it, numbered(1))])
            removals: list[Callable[[], Any]] = [
                lambda: store.delete("c\x10", token="0" * 32),
                lambda: store.replace(whole_of_it, once(numbered(1)), upto=ended[0]),
                lambda: store.append([Part(whole_of_it, numbered(1))], keep=1),
            ]
            for remove in removals:
                with pytest.raises(Rejected, match=other) as caught:
                    await remove()
                assert [name for name, _, _ in caught.value.reasons] == ["c\x10"]
            assert len(await contents(store, "c\x10")) == 3

    try:
        run(main())
    finally:
        ruled.rows(f"DROP TABLE {other}")


def test_what_a_policy_refuses_is_rejected(ruled: Place) -> None:
    with role(ruled) as (name, dsn):
        tables = f'{{}}, "{ruled.table}_meta", "{ruled.table}_calls"'
        ruled.rows(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {tables} TO {name}")
        ruled.rows(f'GRANT USAGE ON SEQUENCE "{ruled.table}_seq" TO {name}')
        ruled.rows("ALTER TABLE {} ENABLE ROW LEVEL SECURITY")
        ruled.rows("CREATE POLICY p ON {} USING (true) WITH CHECK (session_id <> 'b')")

        async def main() -> None:
            async with ruled.opened(write=True, dsn=dsn) as store:
                parts = [Part(Conversation(each), numbered(1)) for each in "abc"]
                with pytest.raises(Rejected, match="policy") as caught:
                    await store.append(parts)
                assert [each for each, _, _ in caught.value.reasons] == ["b"]
                await store.append(parts[:1])

        run(main())


def test_of_very_many_messages_that_are_refused_the_first_are_named(ruled: Place) -> None:
    ruled.rows("ALTER TABLE {} ADD CONSTRAINT never CHECK (id < 0)")

    async def main() -> None:
        async with ruled.opened(write=True) as store:
            with pytest.raises(Rejected) as caught:
                await add(store, "c", numbered(3000))
            assert [n for _, n, _ in caught.value.reasons] == [*range(100)]

    run(main())


def test_an_empty_title_or_extra_has_no_row(ruled: Place) -> None:
    beside = f'SELECT name FROM "{ruled.table}_meta" ORDER BY 1'

    async def main() -> list[list[str]]:
        found = []
        async with ruled.opened(write=True) as store:
            for title, extra in (("", {}), ("T", {"k": 1}), ("", None), (None, {})):
                await store.append([Part(Conversation("c", title, extra), numbered(1))])
                await store.set_note("c", "n", 1)
                found.append([name for (name,) in await asyncio.to_thread(ruled.rows, beside)])
        return found

    everything, without = ["extra", "note:n", "title"], ["note:n"]
    assert run(main()) == [without, everything, ["extra", "note:n"], without]
