"""Secrets out of what is shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synmem.masking import mask, mask_text, secrets_of, with_password, without_user

URLS = [
    ("redis://:pw@h", "redis://:***@h"),
    ("redis://h:6379/0", "redis://h:6379/0"),
    ("redis://user@h", "redis://user@h"),
    ("redis://user:@h", "redis://user:@h"),
    ("redis://u:p@ss@h:6379/0", "redis://u:***@h:6379/0"),
    ("redis://u:p%40ss@h", "redis://u:***@h"),
    ("redis://:p/w@h/0", "redis://:***@h/0"),
    ("redis://:p?w@h/0", "redis://:***@h/0"),
    ("redis://:p#w@h/0", "redis://:***@h/0"),
    ("redis://:a&token=b@h", "redis://:***@h"),
    ("redis://u:p@a?b@h/0", "redis://u:***@h/0"),
    ("redis://:?x=pw@h", "redis://:***@h"),
    ("redis://:1?x=pw@h", "redis://:***@h"),
    ("redis://u:1?pw@h", "redis://u:***@h"),
    ("redis://[::1]:6379/0", "redis://[::1]:6379/0"),
    ("redis://:pw@[::1]:6379/0", "redis://:***@[::1]:6379/0"),
    ("redis://h?password=a@b&db=1", "redis://h?password=***&db=1"),
    ("redis://u:p@h?password=q&x=1&sslpassword=r", "redis://u:***@h?password=***&x=1&sslpassword=***"),
    ("redis://h?pass%77ord=q", "redis://h?pass%77ord=***"),
    ("unix://u:pw@/run/r.sock?db=1", "unix://u:***@/run/r.sock?db=1"),
    ("mongodb://u:p@h1:1,h2:2/db?authSource=a", "mongodb://u:***@h1:1,h2:2/db?authSource=a"),
    ("mongodb://h1:1,h2:2,[::1]:3/db", "mongodb://h1:1,h2:2,[::1]:3/db"),
    ("mongodb://h:1/?appName=x@y", "mongodb://h:1/?appName=x@y"),
    ("mongodb+srv://u:p:q@h/?tlsCertificateKeyFilePassword=x", "mongodb+srv://u:***@h/?tlsCertificateKeyFilePassword=***"),
    ("mongodb://h/?authMechanismProperties=AWS_SESSION_TOKEN:x", "mongodb://h/?authMechanismProperties=***"),
    ("postgresql://app:${PW}@${HOST}/chat", "postgresql://app:***@${HOST}/chat"),
    ("postgresql://${HOST}:${PORT}/chat", "postgresql://${HOST}:${PORT}/chat"),
    ("postgresql:///chat?host=/tmp", "postgresql:///chat?host=/tmp"),
    ("host=h password=hunter2 dbname=x", "host=h password=*** dbname=x"),
    ("host=h password='hunter 2' dbname=x", "host=h password=*** dbname=x"),
    ("redis://h:notaport", "redis://h:***"),
    ("sqlite:////home/me@work/a:b.db", "sqlite:////home/me@work/a:b.db"),
    ("sqlite+aiosqlite:////home/me@work/a:b.db", "sqlite+aiosqlite:////home/me@work/a:b.db"),
    ("postgresql+asyncpg://u:pw@h/x", "postgresql+asyncpg://u:***@h/x"),
    ("sqlite://u:pw@h/x", "sqlite://u:***@h/x"),
    ("sqlite://u:p/w@h/x", "sqlite://u:***@h/x"),
    ("file://u:pw@h/x", "file://u:***@h/x"),
    ("memory://u:pw@h", "memory://u:***@h"),
    ("file://localhost/me@work/a:b.json", "file://localhost/me@work/a:b.json"),
    ("/home/me@work/a:b.db", "/home/me@work/a:b.db"),
    ("memory:", "memory:"),
]  # fmt: skip


@pytest.mark.parametrize(("url", "shown"), URLS)
def test_a_url_is_shown_without_its_passwords(url: str, shown: str) -> None:
    assert mask(url) == shown
    assert mask(shown) == shown


@pytest.mark.parametrize(
    ("url", "secrets"),
    [
        ("redis://u:p%40ss@h", {"p%40ss", "p@ss"}),
        ("mongodb://u:p@h1:1,h2:2/db?password=q", {"p", "q"}),
        ("redis://u:first@h/0?x=a@b", {"first"}),
        ("redis://h", set()),
    ],
)
def test_the_secrets_of_a_url_are_found_quoted_and_not(url: str, secrets: set[str]) -> None:
    found = secrets_of({"url": url, "ttl_seconds": 5})
    assert secrets <= found
    assert bool(found) == bool(secrets)


def test_a_drivers_text_is_shown_without_secrets() -> None:
    secrets = secrets_of({"uri": "mongodb://u:p%40ss@h", "api_key": "k-123"})
    text = "auth of p@ss at mongodb://u:p%40ss@h:1, key k-123; see redis://:other@x"
    assert mask_text(text, secrets) == (
        "auth of *** at mongodb://u:***@h:1, key ***; see redis://:***@x"
    )


def test_a_password_of_one_letter_is_hidden_as_a_word_only() -> None:
    assert mask_text("a password a, an apple", {"a"}) == "*** password ***, an apple"


def test_the_rest_of_a_url_is_kept_as_a_driver_reads_it() -> None:
    assert without_user("redis://u:p@h/0?x=a@b") == "h/0?x=a@b"
    assert without_user("redis://:p/w@h/0") == "h/0"


ANY = st.text(st.characters(min_codepoint=33, max_codepoint=126))


@given(user=st.sampled_from(["", "app"]), password=ANY.filter(lambda text: "?" not in text))
def test_whatever_is_in_a_password_the_last_at_sign_is_its_end(user: str, password: str) -> None:
    shown = f":{password and '***'}"
    assert mask(f"redis://{user}:{password}@the-host:6379/0") == (
        f"redis://{user}{shown}@the-host:6379/0"
    )


@given(before=ANY, after=ANY)
def test_no_part_of_a_raw_password_is_shown(before: str, after: str) -> None:
    # "?key=" behind what looks like a port is a parameter to every reader of URLs.
    password = f"x{before}hunter2{after}"
    assert "hunter2" not in mask(f"redis://:{password}@the-host:6379/0")
    assert "hunter2" not in mask(f"redis://app:{password}@the-host:6379/0")


@given(password=st.text(min_size=1).filter(lambda text: not set(text) & set("\ud800")))
def test_a_password_that_is_put_in_is_read_back_by_a_url_parser(password: str) -> None:
    from urllib.parse import unquote, urlsplit

    try:
        password.encode()
    except UnicodeEncodeError:
        return
    parts = urlsplit(with_password("postgresql://me:old@h:1/db?x=1", password))
    assert unquote(parts.password or "") == password
    assert (parts.username, parts.hostname, parts.port, parts.path) == ("me", "h", 1, "/db")
