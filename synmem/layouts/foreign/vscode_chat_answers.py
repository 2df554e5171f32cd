"""An answer in VS Code's chats: the parts that were shown, and Copilot's rounds beside them.

The nth tool that was shown is the nth call of all rounds, and there are its arguments and result.
Where they are not as many the rounds alone are told, and where there are none what was shown.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, Final

from synmem.layouts.foreign import runs
from synmem.layouts.foreign.values import kept, list_of, object_of, objects_of, text_or_none
from synmem.messages import JSONObject

_INVOKED: Final = "toolInvocationSerialized"

_SILENT: Final = frozenset({
    "codeblockUri", "undoStop", "prepareToolInvocation", "progressMessage", "progressTask",
    "progressTaskSerialized", "mcpServersStarting", "references", "usedContext",
    "codeCitation", "extensions", "pullRequest", "treeData",
})  # fmt: skip
"""Parts between which a text goes on: they show where something is, or that something goes on."""


_OF_ANSWER: Final = (
    "responseId", "modelState", "vote", "voteDownReason", "followups", "contentReferences",
    "codeCitations", "usedContext",
)  # fmt: skip
"""What a request says of its answer."""

_TOLD: Final = frozenset({
    "toolCallRounds", "toolCallResults", "renderedUserMessage", "renderedGlobalContext",
    "codeBlocks",
})  # fmt: skip
"""Metadata of a result that is told, or large and made of what is."""


def answered(request: JSONObject) -> tuple[list[runs.Piece], JSONObject]:
    """What an answer says, and what else of it is to be kept; both are taken away from the
    request."""
    result = request.pop("result", None)
    result = object_of(result, "its result") if result is not None else {}
    metadata = result.pop("metadata", None)
    rounds = metadata.get("toolCallRounds") if isinstance(metadata, dict) else None
    results = metadata.get("toolCallResults") if isinstance(metadata, dict) else None
    told = _Rounds(objects_of(rounds, "its rounds"), results if isinstance(results, dict) else {})
    response = request.pop("response", None)
    shown = [] if response is None else list_of(response, "the parts of its response")
    parts = [_as_object(each) for each in shown]
    invoked = sum(part.get("kind") == _INVOKED for part in parts)
    rounds_alone = told.rounds and invoked != len(told.calls)
    pieces = [*(told.all() if rounds_alone else _shown(parts, told))]
    own = {key: request.pop(key, None) for key in _OF_ANSWER}
    if isinstance(metadata, dict):
        metadata = kept(metadata, _TOLD)
    every = kept({**result, **kept(own), "metadata": metadata})
    return pieces, {key: value for key, value in every.items() if value not in ("", [], {})}


def _as_object(part: Any) -> JSONObject:
    return {"value": part} if isinstance(part, str) else object_of(part, "a part of its response")


# --- Copilot's rounds -----------------------------------------------------------------------


class _Rounds:
    """What was asked of the model and of tools, in turn."""

    def __init__(self, rounds: list[JSONObject], results: Mapping[str, Any]) -> None:
        self.rounds = rounds
        self.results = results
        self.calls = [call for each in rounds for call in _calls(each)]

    def all(self) -> Iterator[runs.Piece]:
        """All that they say."""
        for each in self.rounds:
            yield from _thought(each)
            if text := text_or_none(each.get("response")):
                yield runs.Text(text)
            for call in _calls(each):
                yield from self.called(call)

    def called(self, call: JSONObject) -> Iterator[runs.Piece]:
        """A call, and its result where there is one."""
        id_, name = text_or_none(call.get("id")), text_or_none(call.get("name"))
        own = kept(call, ["id", "name", "arguments"])
        yield runs.Call(id_, name, runs.arguments_of(call.get("arguments")), own or None)
        if id_ is not None and isinstance(result := self.results.get(id_), dict):
            yield _result(id_, result)


def _calls(round_: JSONObject) -> list[JSONObject]:
    return objects_of(round_.get("toolCalls"), "the calls of a round")


def _thought(round_: JSONObject) -> Iterator[runs.Piece]:
    thought = round_.get("thinking")
    if isinstance(thought, dict) and thought.get("text"):
        yield runs.Reasoning({"kind": "thinking", **kept(thought)})


def _result(call: str, result: JSONObject) -> runs.Result:
    """What came back: texts, or trees of which the texts are the leaves."""
    content = objects_of(result.get("content"), "the content of a result")
    texts = [text for each in content if (text := _text_in(each.get("value"))) is not None]
    plain = all(isinstance(each.get("value"), str) for each in content)
    return runs.Result(call, None, "\n".join(texts), None if plain else {"content": content})


def _text_in(value: Any) -> str | None:
    """The text, or that in a tree of `node`, `children` and `text`."""
    if isinstance(value, str) or not isinstance(value, dict):
        return text_or_none(value)
    texts: list[str] = []
    nodes = deque([value.get("node")])
    while nodes:
        node = nodes.popleft()
        if not isinstance(node, dict):
            continue
        if isinstance(text := node.get("text"), str):
            texts.append(f"\n{text}" if node.get("lineBreakBefore") and texts else text)
        if isinstance(children := node.get("children"), list):
            nodes.extendleft(reversed(children))
    return "".join(texts) if texts else None


# --- what was shown -------------------------------------------------------------------------


def _shown(parts: list[JSONObject], rounds: _Rounds) -> Iterator[runs.Piece]:
    """The parts, in which neighbouring texts are one."""
    calls = deque(rounds.calls)
    text: list[str] = []
    if not any(part.get("kind") == "thinking" for part in parts):
        for each in rounds.rounds:
            yield from _thought(each)
    for part in parts:
        if (words := _words(part)) is not None:
            text.append(words)
            continue
        if part.get("kind") not in _SILENT and text:
            yield runs.Text("".join(text))
            text.clear()
        if part.get("kind") != _INVOKED:
            yield from _other(part)
        elif calls:
            yield from rounds.called(calls.popleft())
        else:
            yield from _invoked(part)
    if text:
        yield runs.Text("".join(text))


def _words(part: JSONObject) -> str | None:
    """What a part says in the text; None where it is no text."""
    kind = part.get("kind")
    if kind == "inlineReference":
        return _name(part)
    said = part.get("content") if kind in ("markdownContent", "markdownVuln") else part
    if isinstance(said, dict) and (said is not part or kind is None):
        return text_or_none(said.get("value"))
    return None


def _name(part: JSONObject) -> str:
    """What a reference is called: its name, or that of the file."""
    to = part.get("inlineReference")
    to = to if isinstance(to, dict) else {}
    if name := text_or_none(part.get("name")) or text_or_none(to.get("name")):
        return name
    place = to.get("uri") if isinstance(to.get("uri"), dict) else to
    path = place.get("path") if isinstance(place, dict) else None
    return path.rpartition("/")[2] if isinstance(path, str) else ""


def _other(part: JSONObject) -> Iterator[runs.Piece]:
    if part.get("kind") != "thinking":
        yield runs.Other(kept(part))
    elif part.get("value"):
        yield runs.Reasoning(kept(part))


def _invoked(part: JSONObject) -> Iterator[runs.Piece]:
    """A tool of which there is only what was shown: its input and output, where they were."""
    id_, name = text_or_none(part.get("toolCallId")), text_or_none(part.get("toolId"))
    details = part.get("resultDetails")
    details = details if isinstance(details, dict) else {}
    arguments = runs.arguments_of(details.get("input"))
    own = kept(part, ["toolCallId", "toolId"])
    yield runs.Call(id_, name, {} if arguments is None else arguments, own)
    output = details.get("output")
    if isinstance(output, list):
        texts = [each.get("value") for each in output if isinstance(each, dict)]
        yield runs.Result(id_, None, "\n".join(text for text in texts if isinstance(text, str)))
