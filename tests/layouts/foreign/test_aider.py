"""aider's chat history: whose each line is, and a file that is being written."""

from hypothesis import given, settings
from hypothesis import strategies as some

from synmem.layouts.shapes import Told
from synmem.messages import Message
from tests.layouts.foreign.folders import check_spoiled, files_of, texts, unfolded

FILE = ".aider.chat.history.md"
BEGAN = "2026-11-28 19:16:27"
HEADING = f"\n# aider chat started at {BEGAN}\n\n"


def told(text: str | bytes) -> dict[str, Told]:
    return unfolded("aider", {f"repo/{FILE}": text})


def said(text: str) -> list[tuple[str, str]]:
    return texts([*told(HEADING + text)[BEGAN].messages])


def test_lines_of_the_users_are_one_message_until_a_blank_one() -> None:
    found = said("#### a  \n####   \n####  b \n#### c    \n####\n\n#### again  \n")
    assert found == [("user", "a\n\n b \nc  \n"), ("user", "again")]


def test_aiders_own_output_parts_answers_and_is_kept() -> None:
    text = "> Aider v1  \n> Model: m  \n\n#### q  \n\n one\n\ntwo \n\n> Tokens: 1  \n>\n> x  \n\nthree\n\n"
    found = told(HEADING + text)[BEGAN]
    assert texts([*found.messages]) == [
        ("user", "q"), ("assistant", "one\n\ntwo"), ("assistant", "three")
    ]  # fmt: skip
    assert found.extra == {"aider": {"announcements": "Aider v1\nModel: m"}}
    assert [m.extra for m in found.messages if isinstance(m, Message)] == [
        None, {"aider": {"output": "Tokens: 1\n\nx"}}, None
    ]  # fmt: skip


def test_sessions_of_one_second_are_told_apart_and_one_without_a_question_is_none() -> None:
    once, nothing = f"{HEADING}#### a  \n", f"{HEADING}> Aider  \nmore of its command line\n"
    found = told(once + nothing + once)
    assert [*found] == [BEGAN, f"{BEGAN} (3)"]


def test_a_mark_elsewhere_in_a_line_is_no_mark() -> None:
    text = "#### q  \n\n a > b\n #### c\n# aider chat started at noon\n#d\n>e\n"
    assert said(text)[1] == ("assistant", "a > b\n #### c\n# aider chat started at noon\n#d\n>e")


def test_a_heading_that_is_quoted_within_a_line_begins_no_session() -> None:
    quoted = HEADING.strip()
    assert said(f"#### see  \n#### {quoted}  \n\nIn a line: {quoted}\n") == [
        ("user", f"see\n{quoted}"),
        ("assistant", f"In a line: {quoted}"),
    ]


def test_ends_of_lines_of_windows_are_ends_of_lines() -> None:
    text = (HEADING + "#### a  \n#### b  \n\nc\n\nd\n").replace("\n", "\r\n")
    assert texts([*told(text)[BEGAN].messages]) == [("user", "a\nb"), ("assistant", "c\n\nd")]


def test_bytes_that_are_no_text_hide_nothing() -> None:
    found = told(HEADING.encode() + b"#### caf\xe9  \n\nok\n")[BEGAN]
    assert texts([*found.messages]) == [("user", "caf\udce9"), ("assistant", "ok")]


def test_a_file_that_ends_at_any_byte_tells_what_it_says_up_to_there() -> None:
    data = files_of("aider-history")[FILE][:2500]
    whole = told(data)
    for length in range(len(data)):
        for id_, found in told(data[:length]).items():
            of_all = texts([*whole[id_].messages])
            for index, (role, text) in enumerate(texts([*found.messages])):
                assert role == of_all[index][0], length
                cut = text.encode("utf-8", "surrogateescape").rstrip(b" ")
                assert of_all[index][1].encode().startswith(cut), length


def test_a_file_that_is_called_otherwise_is_read_where_it_is_named() -> None:
    text = f"{HEADING}#### a  \n"
    assert [*unfolded("aider", {"history.md": text})] == [BEGAN]
    assert unfolded("aider", {"history.md": text, "README.md": text}) == {}
    assert unfolded("aider", {FILE: "# A title\n#### a  \n"}) == {}


@settings(deadline=None)
@given(
    some.lists(
        some.sampled_from(
            ["#### a  ", "####", "> b  ", ">", "", "text", HEADING.strip(), "\r", "\x85"]
        )
        | some.text()
    )
)
def test_whatever_stands_in_lines_is_told(some_lines: list[str]) -> None:
    check_spoiled("aider", {FILE: (HEADING + "\n".join(some_lines)).encode("utf-8", "replace")})
