"""The README's tables *Does it read mine?*, one a kind of program, made of the registry of layouts.

`python -m tests.readme_table` writes it anew.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from synmem.layouts import registry

EXPORTED: Final = (
    ("Anthropic", "bodies of requests, JSON Lines or JSON", "anthropic"),
    ("OpenAI", "chat messages, JSON Lines or JSON", "openai"),
    ("ShareGPT", "JSON, JSON Lines", "sharegpt"),
)
"""Forms of files that are written too: whose, which, and what they are called."""


KINDS: Final = {
    "Coding agents": (
        "aider", "claude_code", "cline", "codex", "continue_dev", "copilot_cli", "crush", "cursor",
        "gemini_cli", "goose", "kimi_cli", "opencode", "qwen_code", "vscode_chat", "zed",
    ),
    "Apps and command lines": (
        "anythingllm", "big_agi", "chatbox", "chatgpt", "cherry_studio", "claude_ai", "jan", "llm",
        "lm_studio", "sillytavern", "text_generation_webui",
    ),
    "Frameworks": (
        "agent_framework", "agno", "chainlit", "google_adk", "haystack", "langchain", "langgraph",
        "llamaindex", "mem0", "openai_agents", "pydantic_ai", "spring_ai", "strands", "vercel_ai",
    ),
    "Servers of your own": (
        "chat_ui", "dify", "flowise", "librechat", "lobechat", "open_webui",
    ),
    "Requests and training sets": (
        "gemini_contents", *(form for _, _, form in EXPORTED),
    ),
}  # fmt: skip
"""What kind of program each layout is of."""


class Line(NamedTuple):
    """A line of a table."""

    kind: str
    framework: str
    where: str
    read: str
    write: str
    detected: str


README: Final = Path(__file__).parent.parent / "README.md"
BEGIN: Final = "<!-- does it read mine? made by tests/readme_table.py -->\n\n"
END: Final = "<!-- that is all -->\n"


def lines() -> Iterator[Line]:
    """The layouts that there are, by framework, and then the forms that are written too."""
    found: dict[tuple[str, str, str], dict[str, list[str]]] = {}
    for layout, backends in registry.LAYOUTS.items():
        title = registry.title(layout)
        for backend in backends:
            for shape in registry.shapes(layout, backend):
                writes = "yes" if registry.is_written(shape) else "no"
                places = found.setdefault((title, layout, writes), {})
                versions = places.setdefault(registry.NAMES[backend], [])
                if shape.version not in versions:
                    versions.append(shape.version)
    for (title, layout, writes), places in sorted(found.items(), key=_by_title):
        where = ", ".join(_place(name, filter(None, some)) for name, some in places.items())
        yield Line(_kind(layout), title, where, "yes", writes, f"yes: `{layout}`")
    for framework, where, form in EXPORTED:
        yield Line(_kind(form), framework, where, "yes", "`export`", f"yes: `{form}`")


def _kind(layout: str) -> str:
    [kind] = [kind for kind, layouts in KINDS.items() if layout in layouts]
    return kind


def _by_title(found: tuple[tuple[str, str, str], object]) -> tuple[str, bool]:
    (title, _, writes), _ = found
    return title.lower(), writes == "no"


def _place(name: str, versions: Iterable[str]) -> str:
    told = ", ".join(versions)
    return f"{name} ({told})" if told else name


def tables() -> str:
    """The tables, as Markdown has them; each is folded under the names that stand in it."""
    return "".join(_table(kind, [each for each in lines() if each.kind == kind]) for kind in KINDS)


def _table(kind: str, told: list[Line]) -> str:
    names = ", ".join(dict.fromkeys(line.framework.replace("`", "") for line in told))
    rows = [("program", "where", "read", "write", "detected"), ("---",) * 5]
    rows += [tuple(line[1:]) for line in told]
    written = "".join(f"| {' | '.join(row)} |\n" for row in rows)
    folded = f"<details>\n<summary><b>{kind}</b>: {names}</summary>\n"
    return f"{folded}\n{written}\n</details>\n\n"


def parted() -> tuple[str, str, str]:
    """The README's text up to the tables, the tables, and what follows them."""
    before, begin, rest = README.read_text().partition(BEGIN)
    told, end, after = rest.partition(END)
    return before + begin, told, end + after


if __name__ == "__main__":
    head, _, tail = parted()
    README.write_text(head + tables() + tail)
