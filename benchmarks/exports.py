"""Exports that are one large file: against the loop that only parses them."""

import json
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from benchmarks.bench import Bench, benchmark
from benchmarks.data import WORDS
from benchmarks.measure import Result, command, peak_mb_together, prepared

MB_FOR_EACH_MESSAGE: Final = 1000 / 200_000
"""A gigabyte where nothing else is asked."""

PEAK_MB: Final = 300


@benchmark
def chatgpt(b: Bench) -> Iterator[Result]:
    """`export` of ChatGPT's export against `ijson` over its conversations; and its peak memory."""
    path = chatgpt_file(b.folder / "conversations.json", int(b.messages * MB_FOR_EACH_MESSAGE))
    python = b.environment("ijson", "ijson") / "python"
    size = f"{path.stat().st_size >> 20:,} MB"
    loop = command([str(python), "-c", _IJSON, str(path)])
    for name, first, goal in (("ls", 1, 2), ("export", 1, 1.5)):
        yield b.compare(
            f"{name} of ChatGPT's {size} / ijson",
            prepared(lambda: forget(b), command(b.synmem(name, "-q", "-p", path))), loop,
            first=first, goal=goal, speed=True,
        )  # fmt: skip
    forget(b)
    found = peak_mb_together(b.synmem("export", "-q", "-p", path))
    yield Result("peak MB of that / 300 MB", found, PEAK_MB, found / PEAK_MB, None, 1.0, 0.7, False)


def forget(b: Bench) -> None:
    """What is remembered of files that were listed: then each is the first time."""
    os.environ["XDG_STATE_HOME"] = str(b.folder / "state")
    shutil.rmtree(b.folder / "state", ignore_errors=True)


_IJSON = """
import sys
from ijson.backends import yajl2_c
with open(sys.argv[1], "rb") as file:
    for _ in yajl2_c.items(file, "item"):
        pass
"""


def chatgpt_file(path: Path, megabytes: int) -> Path:
    """Conversations of about 50 KB as ChatGPT exports them: 20,000 in a gigabyte. Of a hundred
    turns three are answered anew, fifteen by what was found in the web, ten after thinking, five
    have run a program, and one holds a text of 100 KB."""
    made = _Export(random.Random(1))
    written = 0
    with path.open("w") as file:
        file.write("[")
        while written < megabytes << 20:
            line = json.dumps(made.conversation())
            written += file.write(f", {line}" if written else line)
        file.write("]")
    return path


class _Export:
    """What makes conversations as they stand in an export."""

    def __init__(self, choose: random.Random) -> None:
        self._choose = choose
        self._texts = [self._words(choose.randint(3, 500)) for _ in range(2000)]
        self._long = self._words(25_000)
        self._mapping: dict[str, Any] = {}
        self._at = ""

    def _words(self, count: int) -> str:
        return " ".join(self._choose.choices(WORDS, k=count))

    def conversation(self) -> dict[str, Any]:
        """One, of some turns."""
        name = self._uuid()
        self._mapping, self._at = (
            {"client-created-root": _record("client-created-root", "", None)},
            "",
        )
        self._add("system", _text(""), {"is_visually_hidden_from_conversation": True})
        context = {"content_type": "user_editable_context", "user_profile": self._text(), "user_instructions": self._text()}  # fmt: skip
        self._add("user", context, {"is_visually_hidden_from_conversation": True, "is_user_system_message": True})  # fmt: skip
        for _ in range(self._choose.randint(1, 20)):
            self._turn()
        return {
            "title": self._words(4), "create_time": 1767225600.125, "update_time": 1767225660.125,
            "mapping": self._mapping, "moderation_results": [], "current_node": self._at,
            "plugin_ids": None, "conversation_id": name, "conversation_template_id": None,
            "gizmo_id": None, "gizmo_type": None, "is_archived": False, "is_starred": None,
            "safe_urls": [], "blocked_urls": [], "default_model_slug": "gpt-5", "voice": None,
            "conversation_origin": None, "async_status": None, "disabled_tool_ids": [],
            "is_do_not_remember": None, "memory_scope": "global_enabled", "id": name,
        }  # fmt: skip

    def _turn(self) -> None:
        metadata = {
            "selected_github_repos": [], "selected_all_github_repos": False,
            "serialization_metadata": {"custom_symbol_offsets": []},
        }  # fmt: skip
        self._add("user", _text(self._text()[:600]), metadata)
        chance = self._choose.random()
        if chance < 0.1:
            thoughts = [{"summary": self._words(3), "content": self._words(50), "chunks": [], "finished": True} for _ in range(3)]  # fmt: skip
            self._add("assistant", {"content_type": "thoughts", "thoughts": thoughts, "source_analysis_msg_id": self._uuid()})  # fmt: skip
            self._add("assistant", {"content_type": "reasoning_recap", "content": "Thought for 8s"})
        elif chance < 0.15:
            code = {"content_type": "code", "language": "python", "response_format_name": None, "text": self._words(40)}  # fmt: skip
            self._add("assistant", code, recipient="python")
            self._add(
                "tool", {"content_type": "execution_output", "text": self._words(20)}, name="python"
            )
        if self._choose.random() < 0.03:
            before = self._at
            self._answer()
            self._at = before
        self._answer()

    def _answer(self) -> None:
        found = [self._entry() for _ in range(8)] if self._choose.random() < 0.15 else []
        metadata = {
            "citations": [], "content_references": [
                {"matched_text": "", "start_idx": n, "end_idx": n + 9, "refs": [], "alt": None, "type": "grouped_webpages", "items": [each]}
                for n, each in enumerate(found[:3])
            ],
            "search_result_groups": [{"type": "search_result_group", "domain": "example.com", "entries": found}] if found else [],
            "gizmo_id": None, "is_complete": True, "model_slug": "gpt-5", "image_results": [],
            "finish_details": {"type": "stop", "stop_tokens": [200002, 200007]},
            "default_model_slug": "auto", "parent_id": self._at, "model_switcher_deny": [],
            "request_id": self._uuid(), "pad": "AAAAAAAAAAAA",
        }  # fmt: skip
        long = self._choose.random() < 0.01
        self._add("assistant", _text(self._long if long else self._text()), metadata)

    def _entry(self) -> dict[str, Any]:
        return {
            "type": "search_result", "url": f"https://example.com/{self._uuid()}",
            "title": self._words(8), "snippet": self._words(30), "attribution": "example.com",
            "ref_id": {"turn_index": 0, "ref_type": "search", "ref_index": 3}, "pub_date": None,
            "content_type": None, "attributions": None,
        }  # fmt: skip

    def _add(
        self,
        role: str,
        content: Any,
        metadata: Any = None,
        *,
        name: str | None = None,
        recipient: str = "all",
    ) -> None:
        id_ = self._uuid()
        general = {
            "request_id": self._uuid(), "timestamp_": "absolute", "message_type": None,
            "turn_exchange_id": self._uuid(), "message_source": None,
        }  # fmt: skip
        message = {
            "id": id_, "author": {"role": role, "name": name, "metadata": {}},
            "create_time": 1767225600.125 + len(self._mapping), "update_time": None,
            "content": content, "status": "finished_successfully",
            "end_turn": True if role == "assistant" else None, "weight": 1.0,
            "metadata": {**general, **(metadata or {})}, "recipient": recipient, "channel": None,
        }  # fmt: skip
        parent = self._at or "client-created-root"
        self._mapping[id_] = _record(id_, parent, message)
        self._mapping[parent]["children"].append(id_)
        self._at = id_

    def _text(self) -> str:
        return self._choose.choice(self._texts)

    def _uuid(self) -> str:
        digits = f"{self._choose.getrandbits(128):032x}"
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _record(id_: str, parent: str, message: Any) -> dict[str, Any]:
    return {"id": id_, "message": message, "parent": parent or None, "children": []}


def _text(text: str) -> dict[str, Any]:
    return {"content_type": "text", "parts": [text]}
