"""Who may import whom (the rule that keeps the house in order), and what a start-up may load."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import synmem

ROOT = Path(synmem.__file__).parent
CORE = {"messages", "errors", "store"}
MAY_IMPORT = {
    "__init__": set(),
    "__main__": {"cli", "__init__"},
    "messages": set(),
    "errors": set(),
    "folders": set(),
    "masking": set(),
    "durable": set(),
    "exhaustion": set(),
    "locks": {"errors", "folders"},
    "leftovers": set(),
    "finishing": set(),
    "temporary": {"errors"},
    "store": {"messages", "errors"},
    "layouts": {"messages", "errors", "layouts", "temporary"},
    "backends": {
        *CORE, "backends", "layouts", "masking", "leftovers", "exhaustion", "finishing", "temporary",
    },
    "formats": {*CORE, "formats", "layouts"},
    "strategies": {*CORE, "strategies", "models"},
    "models": {*CORE, "models", "masking", "exhaustion"},
    "notes": {*CORE, "folders"},
    "memory": {*CORE, "memory", "strategies", "models", "backends", "finishing"},
    "settings": {"errors"},
    "addresses": {"errors", "masking", "backends", "settings"},
    "variables": {"errors"},
    "config": {
        "errors", "folders", "masking", "durable", "leftovers", "settings", "variables",
    },
    "profiles": {
        "errors", "folders", "masking", "backends", "settings", "addresses", "config", "variables",
    },
    "model_settings": {"errors", "settings", "config", "variables", "models"},
    "embedding_settings": {"errors", "settings", "config", "variables", "models"},
    "vectors": {*CORE, "vectors", "models", "masking", "exhaustion", "finishing"},
    "operations": {
        *CORE, "operations", "strategies", "formats", "models", "notes", "folders", "durable",
        "locks", "vectors", "temporary", "finishing", "exhaustion",
    },
    "cli": {
        *CORE, "cli", "operations", "strategies", "formats", "models", "notes", "folders",
        "masking", "durable", "leftovers", "settings", "addresses", "config", "profiles", "backends",
        "model_settings", "embedding_settings", "vectors", "exhaustion", "temporary", "__init__",
    },
}  # fmt: skip


def imports(path: Path) -> list[tuple[str, ...]]:
    """Every module of ours that a file imports, as the parts of its name below `synmem`."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        found += [tuple(n.split(".")[1:]) for n in names if n.split(".")[0] == "synmem"]
    return found


FILES = sorted(ROOT.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_imports_only_what_its_layer_may(path: Path) -> None:
    layer = path.relative_to(ROOT).with_suffix("").parts[0]
    for parts in imports(path):
        target = parts[0] if parts and (ROOT / parts[0]).with_suffix(".py").exists() else None
        if parts and (ROOT / parts[0]).is_dir():
            target = parts[0]
        allowed = MAY_IMPORT[layer]
        assert (target or "__init__") in {*allowed, layer}, f"{layer} imports {'.'.join(parts)}"
        if target == "backends" and layer not in ("backends",):
            module = parts[1] if len(parts) > 1 else ""
            assert not (ROOT / "backends" / f"{module}.py").exists(), "a backend by name"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_only_the_command_line_imports_typer_or_rich_and_nobody_click(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
        tops = {name.split(".")[0] for name in names}
        assert "click" not in tops
        assert not tops & {"typer", "rich"} or "cli" in path.relative_to(ROOT).parts


NEVER = {
    "redis", "asyncpg", "pymongo", "bson", "boto3", "botocore", "openai", "anthropic", "httpx",
    "httpx2", "anyio", "bpe_openai",
    "numpy", "pydantic", "tomlkit", "tomli_w", "rich", "textual", "wordllama", "multiprocessing", "orjson",
}  # fmt: skip

RUN = """
import sys
sys.argv = ["synmem", *sys.argv[1:]]
from synmem.__main__ import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
sys.stdout.flush()
sys.stderr.write("MODULES " + " ".join(sorted({m.split(".")[0] for m in sys.modules})) + "\\n")
"""


def loaded(*arguments: str) -> set[str]:
    """The packages that are loaded when a command has run, piped."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, *arguments], capture_output=True, text=True, check=True
    )
    return set(done.stderr.rpartition("MODULES ")[2].split())


def test_saying_the_version_loads_next_to_nothing() -> None:
    assert not loaded("--version") & {*NEVER, "typer", "asyncio", "sqlite3", "msgspec", "json"}


@pytest.mark.parametrize(
    "arguments",
    [("add", "c", "x"), ("add", "c", "x", "-m", '{"k": 1}', "-r", "assistant"), ("show", "c"), ("show", "c", "--last", "1", "--json"), ("ls",),
     ("context", "c", "--window", "3"), ("export",), ("stats",)],
    ids=" ".join,
)  # fmt: skip
def test_a_piped_command_loads_no_driver_and_no_rich_that_it_does_not_need(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    store = str(tmp_path / "chat.db")
    loaded("add", "c", "hello", "-p", store)
    found = loaded(*arguments, "-p", store)
    assert "aiosqlite" in found
    assert not found & NEVER
