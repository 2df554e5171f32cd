"""Tables with columns that are not ours: nothing in them is lost on any way, and the store says
beforehand what a table would not take back."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

from synmem.errors import Rejected, StoreError, Unsupported
from synmem.messages import Conversation, Message
from synmem.store import START, Part, SupportsTrial, once
from tests.backends.test_postgres import Place, place, role, write
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
    from tests.backends.test_sqlite_copying import opened as opened_file

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
    trial(place, [*names, "none", "\ud800"], {})
    trial(place, [], {})


def test_numbers_are_compared_by_value_and_digits_that_no_float_has_are_told(place: Place) -> None:
    write(place, "c", numbered(1))
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
    steps = ["_remove", "_put_back", "put_beside", "_difference"]

    async def main() -> None:
        async with own.opened(write=True) as store:
            for step in steps:
                with monkeypatch.context() as patched:
                    patched.setattr(f"synmem.backends.postgres_trial.{step}", stop)
                    with pytest.raises(asyncio.CancelledError):
                        await store.refuses_back(["c"])
            assert await store.refuses_back(["c"]) == {}

    def stop(*_: Any) -> Any:
        raise asyncio.CancelledError

    run(main())
    assert whole(own) == before
