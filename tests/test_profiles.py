"""Where a store is: targets, precedence, values, identity."""

import os
from pathlib import Path

import pytest

from synmem import folders
from synmem.errors import AccessDenied, AddressError, ProfileError, ProfileNotFound, SynmemError
from synmem.profiles import Profile, load, names, resolve
from tests.nobody import as_nobody


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def configure(text: str, mode: int = 0o600) -> Path:
    file = folders.config_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(mode)
    return file


# --- targets --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "backend", "settings"),
    [
        ("chat.db", "sqlite", {"db_path": "chat.db"}),
        ("CHAT.SQLITE3", "sqlite", {"db_path": "CHAT.SQLITE3"}),
        ("./chat", "sqlite", {"db_path": "./chat"}),
        ("sqlite:///chat.db", "sqlite", {"db_path": "chat.db"}),
        ("sqlite:////var/chat.db", "sqlite", {"db_path": "/var/chat.db"}),
        ("sqlite:///a%20%3Fb", "sqlite", {"db_path": "a ?b"}),
        (
            "sqlite:///chat.db?layout=langchain&max_messages=7&timestamps=true",
            "sqlite",
            {"db_path": "chat.db", "layout": "langchain", "max_messages": 7, "timestamps": True},
        ),
        ("chat.db?layout=langchain", "sqlite", {"db_path": "chat.db", "layout": "langchain"}),
        # SQLAlchemy's: three slashes before a relative path, as in ours; four before another.
        ("sqlite+aiosqlite:///data/chat.db", "sqlite", {"db_path": "data/chat.db"}),
        ("sqlite+aiosqlite:////var/chat.db", "sqlite", {"db_path": "/var/chat.db"}),
        (
            "sqlite+pysqlite:///chat.db?check_same_thread=False&timeout=5&layout=langchain",
            "sqlite",
            {"db_path": "chat.db", "layout": "langchain"},
        ),
        ("sqlite:///file:chat.db?mode=ro&uri=true", "sqlite", {"db_path": "chat.db"}),
        (
            "postgresql+asyncpg://u:p@h/d?schema=s&pgbouncer=true",
            "postgres",
            {"dsn": "postgresql+asyncpg://u:p@h/d?pgbouncer=true", "schema": "s"},
        ),
        ("postgresql+psycopg2://h/d", "postgres", {"dsn": "postgresql+psycopg2://h/d"}),
        ("out.jsonl", "file", {"path": "out.jsonl"}),
        ("export.zip", "file", {"path": "export.zip"}),
        ("file:///tmp/x.json", "file", {"path": "/tmp/x.json"}),
        ("file://localhost/tmp/x.json", "file", {"path": "/tmp/x.json"}),
        ("file:x.json", "file", {"path": "x.json"}),
        ("sessions/", "file", {"path": "sessions/"}),
        (".", "file", {"path": "."}),
        ("memory:", "memory", {}),
        ("memory://", "memory", {}),
        ("redis://h:6379/0", "redis", {"url": "redis://h:6379/0"}),
        ("REDISS://h", "redis", {"url": "REDISS://h"}),
        (
            "unix:///run/redis.sock?db=1&prefix=a:b",
            "redis",
            {"url": "unix:///run/redis.sock?db=1", "prefix": "a:b"},
        ),
        (
            "postgresql://u@h/chat?sslmode=require&schema=app&table=t&application_name=x",
            "postgres",
            {
                "dsn": "postgresql://u@h/chat?sslmode=require&application_name=x",
                "schema": "app",
                "table": "t",
            },
        ),
        ("postgres://h/db?table=t", "postgres", {"dsn": "postgres://h/db", "table": "t"}),
        (
            "mongodb+srv://h/?retryWrites=true&db_name=d",
            "mongo",
            {"uri": "mongodb+srv://h/?retryWrites=true", "db_name": "d"},
        ),
        (
            "dynamodb://eu-west-1/chats?create=true&endpoint_url=http://localhost:8000",
            "dynamodb",
            {
                "table_name": "chats",
                "region": "eu-west-1",
                "create": True,
                "endpoint_url": "http://localhost:8000",
            },
        ),
        ("dynamodb:///chats", "dynamodb", {"table_name": "chats"}),
    ],
)
def test_a_target_names_a_backend_and_its_settings(
    here: Path, target: str, backend: str, settings: dict[str, object]
) -> None:
    profile = resolve(target)
    assert (profile.backend, profile.settings) == (backend, settings)
    assert profile.connection() == settings


def test_a_bare_word_is_a_profile_even_where_a_file_has_that_name(here: Path) -> None:
    (here / "chat").write_bytes(b"SQLite format 3\0")
    with pytest.raises(ProfileNotFound, match="no profile 'chat'") as caught:
        resolve("chat")
    assert caught.value.hint is not None
    assert "./chat" in caught.value.hint


def test_an_unknown_profile_names_those_that_there_are(here: Path) -> None:
    configure('[profiles.prod]\nbackend = "memory"\n')
    with pytest.raises(ProfileNotFound) as caught:
        resolve("pord")
    assert "prod" in (caught.value.hint or "")


@pytest.mark.parametrize("target", ["", "x" * 5000, "a\0b"])
def test_an_odd_name_is_not_found_and_does_not_crash(target: str) -> None:
    with pytest.raises(ProfileNotFound):
        resolve(target)


def test_a_file_that_begins_as_sqlite_is_sqlite_whatever_it_is_called(here: Path) -> None:
    (here / "chat.json").write_bytes(b"SQLite format 3\0rest")
    (here / "other.dat").write_bytes(b"SQLite format 3\0rest")
    (here / "text.dat").write_text("{}")
    (here / "empty.dat").touch()
    assert resolve("chat.json").backend == "sqlite"
    assert resolve("./other.dat").backend == "sqlite"
    assert resolve("file:other.dat").backend == "sqlite"
    assert resolve("./text.dat").backend == "file"
    assert resolve("./empty.dat").backend == "sqlite"


def test_a_folder_is_a_file_store_even_if_it_ends_like_a_database(here: Path) -> None:
    (here / "chats.db").mkdir()
    assert resolve("chats.db").backend == "file"


def test_a_database_is_never_opened_for_a_look(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "chat.db").write_bytes(b"SQLite format 3\0")
    (here / "odd.dat").write_bytes(b"SQLite format 3\0")
    resolve("./odd.dat")

    def opened(*_: object, **__: object) -> None:
        raise AssertionError("closing this descriptor would drop SQLite's locks")

    monkeypatch.setattr(Path, "open", opened)
    assert resolve("chat.db").backend == "sqlite"
    assert resolve("./odd.dat").backend == "sqlite"  # seen before: it may be open by now


def test_a_url_may_ask_for_protection(here: Path) -> None:
    for target in ("chat.db?protected=true", "redis://h?protected=1", "memory:?protected=yes"):
        profile = resolve(target)
        assert profile.protected
        assert "protected" not in profile.connection()


def test_a_question_mark_may_be_part_of_a_file_name(here: Path) -> None:
    (here / "what?layout=x.db").touch()
    assert resolve("what?layout=x.db").settings == {"db_path": "what?layout=x.db"}


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("mysql://u:hunter2@h/db", "mysql"),
        ("sqlite://chat.db", "sqlite:///FILE"),
        ("sqlite://", "sqlite:///FILE"),
        ("sqlite:///:memory:", "memory:"),
        ("memory:x", "memory:"),
        ("redis:h", "redis://"),
        ("dynamodb://eu", "dynamodb://REGION/TABLE"),
        ("sqlite+aiosqlite://", "sqlite:///FILE"),
        ("sqlite+pysqlcipher:///x.db", "leave out +pysqlcipher, if sqlite:// leads there too"),
        ("jdbc:postgresql://h/d?user=u&password=hunter2@", "before the host"),
        ("redis+sentinel://u:hunter2@h", "leave out +sentinel, if redis:// leads there too"),
        ("sqlite:///chat.db?laiout=x", "laiout"),
        ("chat.db?laiout=x", "sqlite has no key 'laiout'"),
        ("dynamodb://eu/t?hunter2=x", "hunter2"),
        ("chat.db?max_messages=0", "max_messages must be a whole number, 1 or more"),
        ("redis://h?cluster=perhaps", "cluster must be true or false"),
        ("redis://h?layout=", "layout must be text"),
        ("redis://h?ttl_seconds=-5", "ttl_seconds"),
    ],
)
def test_an_address_that_is_none_says_what_it_should_be(target: str, words: str) -> None:
    with pytest.raises(AddressError) as caught:
        resolve(target)
    said = f"{caught.value} {caught.value.hint}"
    assert words in said
    assert "hunter2@" not in said


def test_an_unknown_scheme_names_the_known_ones() -> None:
    with pytest.raises(ProfileError) as caught:
        resolve("foo://x")
    assert "postgresql" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("/var/data/chat.db", "chat.db"),
        ("sqlite:////var/chat.db", "chat.db"),
        ("sessions/", "sessions"),
        ("memory:", "memory"),
        ("redis://:hunter2@cache:6379/0", "cache:6379"),
        ("redis://:hun/ter2@cache/0", "cache"),
        ("postgresql://app:hunter2@h:5432/chat?sslmode=x", "chat"),
        ("mongodb://u:hunter2@a:1,b:2/chats?authSource=admin", "chats"),
        ("mongodb://u:hunter2@a:1,b:2", "a:1,b:2"),
        ("dynamodb://eu/chats", "chats"),
        ("unix:///run/redis.sock", "redis.sock"),
    ],
)
def test_the_name_of_an_address_is_its_last_part_and_no_secret(target: str, name: str) -> None:
    assert resolve(target).name == name


# --- the default, and precedence ------------------------------------------------------------


def test_without_any_configuration_the_default_is_a_file_in_the_data_folder() -> None:
    profile = resolve(None)
    assert profile == resolve("default")
    assert profile.name == "default"
    assert profile.connection() == {"db_path": str(folders.default_database())}
    assert set(profile.origins.values()) == {"default"}
    assert not folders.default_database().parent.exists()


def test_the_default_is_the_one_that_the_configuration_names() -> None:
    configure('default_profile = "m"\n[profiles.m]\nbackend = "memory"\n')
    assert resolve(None).name == "m"


def test_a_default_that_is_not_there_is_not_found() -> None:
    configure('default_profile = "gone"\n')
    with pytest.raises(ProfileNotFound, match="gone"):
        resolve(None)


def test_a_variable_comes_before_the_file_and_the_file_before_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    configure(
        '[profiles.my-prod]\nbackend = "sqlite"\ndb_path = "a.db"\nmax_messages = 5\nwindow = 2\n'
    )
    monkeypatch.setenv("SYNMEM_PROFILE_MY_PROD_DB_PATH", "b.db")
    monkeypatch.setenv("SYNMEM_PROFILE_MY_PROD_MAX_MESSAGES", "9")
    monkeypatch.setenv("SYNMEM_PROFILE_MY_PROD_PROTECTED", "yes")
    monkeypatch.setenv("SYNMEM_PROFILE_MY_PROD_LAYOUT", "")
    profile = resolve("my-prod")
    assert profile.settings == {"db_path": "b.db", "max_messages": 9, "window": 2}
    assert profile.protected
    assert profile.origins == {
        "backend": "config",
        "db_path": "env",
        "max_messages": "env",
        "window": "config",
        "protected": "env",
    }


def test_the_variables_of_the_built_in_default_count_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNMEM_PROFILE_DEFAULT_DB_PATH", "mine.db")
    assert resolve(None).settings == {"db_path": "mine.db"}


def test_the_variables_of_a_profile_do_not_reach_a_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNMEM_PROFILE_CHAT_DB_LAYOUT", "x")
    assert resolve("chat.db").settings == {"db_path": "chat.db"}


def test_a_profile_may_stand_in_the_environment_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNMEM_PROFILE_CI_BACKEND", "redis")
    monkeypatch.setenv("SYNMEM_PROFILE_CI_URL", "redis://h/0")
    profile = resolve("ci")
    assert (profile.backend, profile.settings) == ("redis", {"url": "redis://h/0"})
    assert "ci" in names(load())


def test_a_wrong_variable_is_named_and_its_value_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNMEM_PROFILE_DEFAULT_MAX_MESSAGES", "hunter2")
    with pytest.raises(ProfileError, match="SYNMEM_PROFILE_DEFAULT_MAX_MESSAGES") as caught:
        resolve(None)
    assert "hunter2" not in str(caught.value)


def test_a_key_of_the_profile_comes_before_the_same_key_in_its_url() -> None:
    configure(
        '[profiles.c]\nbackend = "redis"\nurl = "redis://h/0?prefix=a:&layout=x&protected=1"\n'
        'prefix = "b:"\n'
    )
    profile = resolve("c")
    assert profile.connection() == {"url": "redis://h/0", "prefix": "b:", "layout": "x"}
    assert profile.protected


# --- the file -------------------------------------------------------------------------------


def test_broken_toml_is_told_in_one_line_with_its_place() -> None:
    file = configure("[profiles.x]\nbackend = \n")
    with pytest.raises(ProfileError) as caught:
        resolve("x")
    assert str(file) in str(caught.value)
    assert "line 2, column" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_utf8_is_told_with_its_line() -> None:
    configure("").write_bytes(b"# fine\n# \xff\n")
    with pytest.raises(ProfileError, match=r"not UTF-8 \(at line 2\)"):
        resolve(None)


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ProfileNotFound, match=r"nothing\.toml"):
        resolve(None, tmp_path / "nothing.toml")
    with pytest.raises(ProfileError, match="directory"):
        resolve(None, tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("colour = 1\n", "colour"),
        ("default_profile = 1\n", "default_profile"),
        ("profiles = 1\n", "profiles"),
        ("llm = 1\n", "llm"),
        ("profiles.x = 1\n", "'x' is not a table"),
        ("[profiles.x]\ndb_path = 'a'\n", "names no backend"),
        ("[profiles.x]\nbackend = 'oracle'\n", "backend"),
        ("[profiles.x]\nbackend = 'sqlite'\n", "db_path"),
        ("[profiles.x]\nbackend = 'sqlite'\ndb_path = 1\n", "db_path must be text"),
        ("[profiles.x]\nbackend = 'memory'\nwindow = 0\n", "window must be a whole number"),
        ("[profiles.x]\nbackend = 'memory'\nwindow = true\n", "window must be a whole number"),
        ("[profiles.x]\nbackend = 'memory'\nwindow = 2.0\n", "window must be a whole number"),
        ("[profiles.x]\nbackend = 'memory'\nprotected = 'no'\n", "true or false"),
        ("[profiles.x]\nbackend = 'memory'\nclour = 1\n", "clour"),
        ("[profiles.x]\nbackend = 'redis'\nurl = 'postgres://h'\n", "redis://"),
        ("[profiles.x]\nbackend = 'redis'\nurl = 'redis://h?ttl_seconds=no'\n", "ttl_seconds"),
    ],
)
def test_what_is_wrong_in_the_file_is_named(text: str, words: str) -> None:
    configure(text)
    with pytest.raises(ProfileError) as caught:
        resolve("x")
    assert words in str(caught.value) + str(caught.value.hint)


def test_the_tables_of_models_are_read_along() -> None:
    configure('[llm]\nprovider = "command"\ncommand = "cat"\n[embedding]\nmodel = "m"\n')
    assert load().tables["llm"] == {"provider": "command", "command": "cat"}
    assert load().tables["embedding"] == {"model": "m"}


SECRETS = [
    '[profiles.x]\nbackend = "redis"\nurl = "redis://:hunter2@h"\n',
    '[profiles.x]\nbackend = "postgres"\ndsn = "postgresql:///d?password=hunter2"\n',
    '[profiles.x]\nbackend = "redis"\nurl = "redis://h"\npassword = "hunter2"\n',
    '[llm]\napi_key = "hunter2"\n',
]


@pytest.mark.skipif(os.name != "posix", reason="the mode of a file is a thing of POSIX")
@pytest.mark.parametrize("text", SECRETS)
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620])
def test_a_file_with_a_password_that_others_can_read_is_refused(text: str, mode: int) -> None:
    file = configure(text, mode)
    with pytest.raises(ProfileError) as caught:
        load()
    assert caught.value.hint == f"chmod 600 {file}"
    assert "hunter2" not in str(caught.value)
    file.chmod(0o600)
    load()


@pytest.mark.parametrize(
    "text",
    [
        '[profiles.x]\nbackend = "redis"\nurl = "redis://:${PW}@h"\n',
        '[profiles.x]\nbackend = "redis"\nurl = "redis://h"\npassword_command = "pass show x"\n',
        '[profiles.x]\nbackend = "mongo"\nuri = "mongodb://me@h:1,h2:2/d"\n',
        '[llm]\napi_key = "${OPENAI_API_KEY}"\nmax_tokens = 5\ntokenizer = "o200k_base"\n',
    ],
)
def test_a_file_without_a_password_may_be_read_by_others(text: str) -> None:
    configure(text, 0o644)
    load()


# --- what a connection gets -----------------------------------------------------------------


def redis(url: str, **settings: object) -> Profile:
    return Profile("cache", "redis", {"url": url, **settings})


@pytest.mark.parametrize(
    ("url", "variables", "expected"),
    [
        ("redis://:${PW}@h/0", {"PW": "p@ss/w:d%41"}, "redis://:p%40ss%2Fw%3Ad%2541@h/0"),
        ("redis://${U}:${PW}@${H}/0", {"U": "a", "PW": "b", "H": "h:1"}, "redis://a:b@h:1/0"),
        ("${URL}", {"URL": "redis://:p%40@h/0"}, "redis://:p%40@h/0"),
        ("${URL}", {"URL": "redis://h/0?prefix=x"}, "redis://h/0"),
    ],
)
def test_variables_are_put_in_and_quoted_where_a_password_stands(
    monkeypatch: pytest.MonkeyPatch, url: str, variables: dict[str, str], expected: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert redis(url).connection()["url"] == expected


def test_a_variable_that_is_not_set_is_named() -> None:
    with pytest.raises(ProfileError, match="NOT_THERE_AT_ALL is not set"):
        redis("redis://:${NOT_THERE_AT_ALL}@h").connection()


def test_the_home_folder_is_put_in(own_folders: Path) -> None:
    configure('[profiles.x]\nbackend = "sqlite"\ndb_path = "~/${SUB}.db"\n')
    os.environ["SUB"] = "sub"
    try:
        assert resolve("x").connection() == {"db_path": str(own_folders / "sub.db")}
    finally:
        del os.environ["SUB"]


def test_a_path_that_was_typed_keeps_what_looks_like_a_variable() -> None:
    assert resolve("./a${B}.db").connection() == {"db_path": "./a${B}.db"}


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://h/0", "redis://:p%40%20w@h/0"),
        ("redis://me@h/0", "redis://me:p%40%20w@h/0"),
        ("redis://me:old@h/0?x=1", "redis://me:p%40%20w@h/0?x=1"),
    ],
)
def test_the_first_line_of_the_password_command_is_the_password(url: str, expected: str) -> None:
    profile = redis(url, password_command="printf 'p@ w\\nuser: me\\n'")
    assert profile.connection() == {"url": expected}


def test_a_password_of_its_own_goes_into_the_url() -> None:
    assert redis("redis://h", password="a/b").connection() == {"url": "redis://:a%2Fb@h"}


@pytest.mark.parametrize(
    ("command", "hint"),
    [
        ("sh -c 'echo hunter2; echo hunter2 >&2; exit 3'", "exit code 3"),
        ("no-such-program-anywhere hunter2", "no such program"),
        ("true", "printed nothing"),
        ("echo 'hunter2", "cannot be run"),
        ("printf '\\377hunter2'", "not text"),
        ("", "cannot be run"),
    ],
)
def test_a_password_command_that_fails_leaks_nothing(
    capfd: pytest.CaptureFixture[str], command: str, hint: str
) -> None:
    with pytest.raises(ProfileError) as caught:
        redis("redis://h", password_command=command).connection()
    assert hint in (caught.value.hint or "")
    chain: list[BaseException | None] = [caught.value]
    while chain[-1] is not None:
        chain.append(chain[-1].__cause__)
    assert "hunter2" not in "".join(map(str, chain))
    assert "hunter2" not in "".join(capfd.readouterr())


def test_the_password_command_is_no_shell(here: Path) -> None:
    profile = redis("redis://h", password_command="echo a; touch made")
    assert profile.connection()["url"] == "redis://:a%3B%20touch%20made@h"
    assert not (here / "made").exists()


# --- identity and display -------------------------------------------------------------------


def test_one_file_has_one_identity(here: Path) -> None:
    (here / "link.db").symlink_to(here / "chat.db")
    expected = f"sqlite:{here / 'chat.db'}"
    for target in ("chat.db", "./chat.db", "sqlite:///chat.db", f"{here}/chat.db", "link.db"):
        assert resolve(target).identity == expected


def test_a_file_is_one_store_whether_its_layout_is_named_or_not_and_its_tables_are_others() -> None:
    file, named = resolve("chat.db"), resolve("chat.db?layout=langchain")
    table, other = (resolve(f"chat.db?layout=langchain&table={name}") for name in ("a", "b"))
    assert file.identity == named.identity
    assert len({file.identity, table.identity, other.identity}) == 3
    assert file.covers(table.identity)
    assert named.covers(table.identity)
    assert table.covers(table.identity)
    assert not table.covers(file.identity)
    assert not table.covers(other.identity)
    assert not resolve("./cha").covers(file.identity)


def test_no_secret_and_no_user_is_in_the_identity_of_a_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PW", "hunter2")
    for target in (
        "postgresql://app:${PW}@db:5432/chat?schema=s",
        "postgresql+asyncpg://app:${PW}@db:5432/chat?schema=s",
        "postgresql://other@db:5432/chat?sslmode=require&password=hunter2&schema=s",
    ):
        assert resolve(target).identity == "postgres:db:5432/chat schema=s"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("redis://h/0", "redis://h/1"),
        ("redis://h/0?prefix=a", "redis://h/0?prefix=b"),
        ("postgresql://a/chat?application_name=x@y", "postgresql://b/chat?application_name=x@y"),
        ("postgresql://u:p@a/c?options=x@y", "postgresql://u:p@b/c?options=x@y"),
        ("postgresql:///chat?host=/a", "postgresql:///chat?host=/b"),
        ("mongodb://h/d?collection_name=a", "mongodb://h/d?collection_name=b"),
        ("dynamodb://eu/t", "dynamodb://us/t"),
        ("a.db", "a.jsonl"),
    ],
)
def test_different_stores_have_different_identities(one: str, other: str) -> None:
    assert resolve(one).identity != resolve(other).identity


def test_what_is_described_has_no_secret() -> None:
    profile = redis("redis://u:hunter2@h", password="hunter2", password_command="echo hunter2")
    described = profile.described()
    assert "hunter2" not in str(described)
    assert described["url"] == "redis://u:***@h"
    assert described["password_command"] == "echo ***"
    assert "hunter2" not in profile.where


def test_no_error_of_a_target_shows_its_password() -> None:
    for target in ("redis:x:hunter2@h", "dynamodb://u:hunter2@eu", "foo://u:hunter2@h"):
        with pytest.raises(SynmemError) as caught:
            resolve(target)
        assert "hunter2" not in f"{caught.value} {caught.value.hint}"


def test_a_configuration_that_may_not_be_read_is_access_denied(tmp_path: Path) -> None:
    with as_nobody() as folder:
        file = folder / "config.toml"
        file.write_text('default_profile = "x"\n')
        file.chmod(0)
        with pytest.raises(AccessDenied, match=r"config\.toml"):
            load(file)
