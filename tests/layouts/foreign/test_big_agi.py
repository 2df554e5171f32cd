"""big-AGI's exports: fragments of every kind, older messages of text, one conversation and all."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from synmem.messages import Message, Unreadable
from tests.cli.moved import run
from tests.layouts.foreign.folders import messages, put, texts, unfolded
from tests.layouts.foreign.wholes import FIXTURES
from tests.layouts.test_detection import fits


def fragment(part: Any, ft: str = "content") -> Any:
    return {"ft": ft, "fId": "f", "part": part}


def text(said: str) -> Any:
    return fragment({"pt": "text", "text": said})


def message(id_: str, *fragments: Any, role: str = "assistant", **more: Any) -> Any:
    return {"id": id_, "role": role, "fragments": [*fragments], "created": 1790000001000, **more}


def conversation(*said: Any, **more: Any) -> Any:
    return {"id": "c", "messages": [*said], "systemPurposeId": "Generic", **more}


def said(*fragments: Any, **more: Any) -> list[Any]:
    """The messages of a conversation of one message."""
    return messages("big_agi", {"c.agi.json": conversation(message("m", *fragments, **more))})


def own(one: Message) -> Any:
    assert one.extra is not None
    return one.extra["big_agi"]


def test_one_message_of_calls_and_results_is_several() -> None:
    code = {"type": "code_execution", "language": "python", "code": "1+1", "author": "gemini"}
    found = said(
        fragment({"pt": "ma", "aType": "reasoning", "aText": "hm"}, "void"),
        text("Let me see."),
        fragment({"pt": "tool_invocation", "id": "1", "invocation": {"type": "function_call", "name": "f", "args": '{"a": 1}'}}),
        fragment({"pt": "tool_response", "id": "1", "error": "no", "response": {"type": "function_call", "name": "f", "result": "42"}, "environment": "client"}),
        fragment({"pt": "tool_invocation", "id": "2", "invocation": code}),
        fragment({"pt": "tool_response", "id": "2", "error": False, "response": {"type": "code_execution", "result": "2"}}),
        fragment({"pt": "ph", "pText": "..."}, "void"),
        text("So it is."),
    )  # fmt: skip
    assert texts(found) == [
        ("assistant", "Let me see."),
        ("tool", "42"),
        ("tool", "2"),
        ("assistant", "So it is."),
    ]
    assert found[0].tool_calls == [
        {"id": "1", "name": "f", "arguments": {"a": 1}},
        {
            "id": "2",
            "name": "code_execution",
            "arguments": {"language": "python", "code": "1+1", "author": "gemini"},
        },
    ]
    assert [(m.name, m.tool_call_id) for m in found[1:3]] == [("f", "1"), ("code_execution", "2")]
    assert own(found[0])["blocks"][0]["part"]["aText"] == "hm"
    assert own(found[1])["blocks"] == [{"error": "no", "environment": "client"}]
    assert all(m.created_at == datetime(2026, 9, 21, 14, 13, 21, tzinfo=UTC) for m in found)


@pytest.mark.parametrize(
    ("result", "content"), [(0, "0"), (False, "false"), ([], "[]"), ("", ""), (None, "")]
)
def test_a_result_that_is_no_text_is_told_as_json(result: Any, content: str) -> None:
    response = {"type": "function_call", "name": "f", "result": result}
    (one,) = said(fragment({"pt": "tool_response", "id": "1", "response": response}))
    assert (one.role, one.content) == ("tool", content)


def test_what_a_fragment_says_beside_its_part_is_kept() -> None:
    signed = {"vendorState": {"gemini": {"thoughtSignature": "AA=="}}}
    call = {
        "pt": "tool_invocation",
        "id": "1",
        "invocation": {"type": "function_call", "name": "f", "args": "{}"},
    }
    (one,) = said({**text("a"), **signed}, {**fragment(call), **signed})
    assert own(one)["blocks"] == [signed, signed]


def test_images_and_documents_are_named_and_kept() -> None:
    ref = {"reftype": "dblob", "dblobAssetId": "blob-1", "mimeType": "image/png"}
    url = {"reftype": "url", "url": "https://example.com/x.png"}
    newer = {"pt": "reference", "rt": "zync", "_legacyImageRefPart": {"pt": "image_ref", "dataRef": ref}}  # fmt: skip
    document = {"pt": "doc", "l1Title": "a.txt", "data": {"idt": "text", "text": "inside"}}
    (one,) = said(
        text("look"),
        fragment({"pt": "image_ref", "dataRef": ref}, "attachment"),
        fragment({"pt": "image_ref", "dataRef": url}, "attachment"),
        fragment(newer, "attachment"),
        fragment(document, "attachment"),
        role="user",
    )
    assert one.content == "look"
    assert [part["image_url"]["url"] for part in one.parts[1:]] == ["blob-1", "https://example.com/x.png", "blob-1"]  # fmt: skip
    assert own(one)["blocks"][-1]["part"] == document


def test_an_answer_that_is_only_an_error_is_one_without_text() -> None:
    (one,) = said(fragment({"pt": "error", "error": "no connection"}))
    assert (one.role, one.content) == ("assistant", "")
    assert own(one)["blocks"][0]["part"]["error"] == "no connection"


def test_messages_of_before_fragments_are_their_text() -> None:
    old = {"id": "m", "text": "hello", "sender": "You", "role": "user", "typing": False, "created": 1700000000000, "updated": None}  # fmt: skip
    (one,) = messages("big_agi", {"c.json": {"conversations": [conversation(old)]}})
    assert (one.role, one.content) == ("user", "hello")
    assert own(one) == {"id": "m", "sender": "You", "typing": False}


@pytest.mark.parametrize(
    ("titles", "title"),
    [
        ({"userTitle": "mine", "autoTitle": "made"}, "mine"),
        ({"userTitle": "", "autoTitle": "made"}, "made"),
        ({"autoTitle": None}, None),
    ],
)
def test_the_users_title_comes_before_the_one_that_was_made(titles: Any, title: Any) -> None:
    found = unfolded("big_agi", {"c.agi.json": conversation(message("m", text("x")), **titles)})
    assert found["c"].title == title


def test_what_cannot_be_read_is_named_in_its_place_and_hides_nothing() -> None:
    found = unfolded(
        "big_agi",
        {
            "all.agi.json": {
                "conversations": [
                    conversation(message("m", text("x")), {"role": 3}, message("n", text("y"))),
                    {"id": "d", "messages": None},
                    "odd",
                ],
                "models": {"sources": [{"setup": {"oaiKey": "secret"}}]},
            }
        },
    )
    assert [*found] == ["c", "d", "2"]
    assert [type(each) for each in found["c"].messages] == [Message, Unreadable, Message]
    assert "its messages are no list" in found["d"].messages[0].reason  # type: ignore[union-attr]
    assert "secret" not in str(found)


def test_one_conversation_and_all_are_told_from_other_exports(tmp_path: Path) -> None:
    folder = FIXTURES / "big-agi-export"
    one, all_ = sorted(path for path in folder.glob("*.agi.json"))
    assert fits(one) == fits(all_) == ["big_agi"]
    listed = run("ls", "-p", folder)
    assert listed.exit_code == 0
    assert len(listed.stdout.split()) == 7
    put(tmp_path, {"x.json": {"conversations": [{"from": "human", "value": "x"}]}})
    assert fits(tmp_path / "x.json") == []


def test_of_two_conversations_of_one_id_the_longer_is_told_and_the_other_named() -> None:
    one, two = message("m", text("a")), message("n", text("b"))
    for listed in ([conversation(one, two), conversation(two)],
                   [conversation(two), conversation(one, two)]):  # fmt: skip
        found = unfolded("big_agi", {"c.agi.json": {"conversations": listed}})
        assert [
            [m.content if isinstance(m, Message) else "!" for m in each.messages]
            for each in found.values()
        ] == [["a", "b"], ["!"]]
