"""Who may import whom (the rule that keeps the house in order), and what a start-up may load."""

import ast
import functools
import subprocess
import sys
from collections.abc import Container
from operator import attrgetter
from pathlib import Path
from typing import Annotated

import pytest
import typer

import synmem
from synmem.cli.plain_values import PRIVATE

ROOT = Path(synmem.__file__).parent
CORE = {"messages", "errors", "store"}
MAY_IMPORT = {
    # The public names, loaded when they are used.
    "__init__": {*CORE, "tool"},
    "__main__": {"cli", "__init__"},
    "messages": set(),
    "errors": set(),
    "folders": set(),
    "masking": set(),
    "hidden": set(),
    "durable": set(),
    "exhaustion": set(),
    "locks": {"errors", "folders"},
    "leftovers": set(),
    "finishing": set(),
    "temporary": {"errors"},
    "as_read": set(),
    "store": {"messages", "errors"},
    "layouts": {"messages", "errors", "layouts", "temporary"},
    "backends": {
        *CORE, "backends", "layouts", "masking", "leftovers", "exhaustion", "finishing", "temporary",
        "as_read", "folders", "durable", "__init__",
    },
    "formats": {*CORE, "formats", "layouts", "hidden", "exhaustion"},
    "strategies": {*CORE, "strategies", "models"},
    "models": {*CORE, "models", "masking", "exhaustion"},
    "notes": {*CORE, "folders"},
    "memory": {*CORE, "memory", "strategies", "models", "backends", "finishing"},
    "settings": {"errors"},
    "addresses": {"errors", "masking", "backends", "settings"},
    "variables": {"errors"},
    "places": {"layouts"},
    "config": {
        "errors", "folders", "masking", "durable", "leftovers", "settings", "variables",
    },
    "profiles": {
        "errors", "folders", "masking", "backends", "settings", "addresses", "config", "variables",
        "places",
    },
    "model_settings": {"errors", "settings", "config", "variables", "models"},
    "embedding_settings": {"errors", "settings", "config", "variables", "models"},
    "vectors": {*CORE, "vectors", "models", "masking", "exhaustion", "finishing"},
    "operations": {
        *CORE, "operations", "strategies", "formats", "models", "notes", "folders", "durable",
        "locks", "vectors", "temporary", "finishing", "exhaustion",
    },
    # The command line without its words: given places, it opens what the operations are given.
    "tool": {*CORE, "operations", "profiles", "backends", "folders"},
    "cli": {
        *CORE, "cli", "tool", "operations", "strategies", "formats", "models", "notes", "folders",
        "masking", "durable", "leftovers", "settings", "addresses", "config", "profiles", "backends",
        "places", "locks", "layouts",
        "model_settings", "embedding_settings", "vectors", "exhaustion", "temporary", "as_read", "hidden",
        "__init__",
    },
}  # fmt: skip


DRIVERS = {path.parent.name for path in (ROOT / "backends").glob("*/__init__.py")}
"""Each has its part of `backends` to itself."""

House = dict[str, set[str]]
"""Every module of ours, by its name below `synmem`, and the modules that it imports, wherever in
its text: also within a function, and for its types only."""


def house(root: Path) -> House:
    """The house as it stands."""
    paths = {_name(root, path): path for path in sorted(root.rglob("*.py"))}
    return {
        name: {_module(each, paths) for each in _imported(path)} - {name}
        for name, path in paths.items()
    }


def _name(root: Path, path: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and parts[1:] else parts)


@functools.cache
def _imported(path: Path) -> set[str]:
    """What of ours it imports, each with all names below `synmem`."""
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: imports are written out"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return {n.partition(".")[2] for n in names if n.split(".")[0] == "synmem"}


def _module(name: str, modules: Container[str]) -> str:
    """The module in which that name is."""
    while name and name not in modules:
        name = name.rpartition(".")[0]
    return name or "__init__"


def wrong(modules: House) -> list[str]:
    """What in this house may not be: an import of what is above, of a driver's own, a circle."""
    found = []
    for name, imported in modules.items():
        layer = name.split(".")[0]
        for target in imported:
            if target.split(".")[0] not in {*MAY_IMPORT[layer], layer}:
                found.append(f"{name} imports {target}: {layer} may not")
            elif _is_private(target, name):
                found.append(f"{name} imports {target}: a backend by name")
            elif name.startswith("layouts.own") and target.startswith("layouts.foreign"):
                found.append(f"{name} imports {target}: our own layouts know no others")
    circles = [" and ".join(circle) + " import each other" for circle in _circles(modules)]
    return found + circles


def _driver(name: str) -> str | None:
    """Whose part of `backends` a module is in; None for what several share."""
    layer, _, rest = name.partition(".")
    first = rest.split(".")[0]
    return first if layer == "backends" and first in DRIVERS else None


def _is_private(target: str, name: str) -> bool:
    """Whether a module is a backend's own, and not for that one: nobody outside imports more than
    the table in `backends/__init__.py`, nor one driver what is another's."""
    if not target.startswith("backends."):
        return False
    return not name.startswith("backends") or _driver(target) not in {None, _driver(name)}


def _circles(modules: House) -> list[list[str]]:
    """Modules that import each other, be it through others."""
    below: House = {}
    for name in modules:
        seen: set[str] = set()
        waiting = [name]
        while waiting:
            new = modules[waiting.pop()] - seen
            seen |= new
            waiting += new
        below[name] = seen
    return [
        sorted(n for n in below[name] if name in below[n])
        for name in modules
        if name in below[name] and name == min(n for n in below[name] if name in below[n])
    ]


FILES = sorted(ROOT.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_nobody_within_uses_the_public_names(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "synmem":
            assert {alias.name for alias in node.names}.isdisjoint(synmem._MODULES)
        elif isinstance(node, ast.Import):
            assert "synmem" not in {alias.name for alias in node.names}


def test_every_module_imports_only_what_its_layer_may_and_none_in_a_circle() -> None:
    assert not wrong(house(ROOT))


@pytest.mark.parametrize(
    ("module", "imported", "why"),
    [
        ("messages", "errors", "messages may not"),
        ("layouts.own.synapsekit", "backends.paging", "layouts may not"),
        ("operations.export", "tool", "operations may not"),
        ("operations.export", "__init__", "operations may not"),
        ("operations.export", "backends.sqlite.store", "operations may not"),
        ("operations.export", "cli.render", "operations may not"),
        ("cli.export", "backends.sqlite.store", "a backend by name"),
        ("cli.export", "backends.sqlite", "a backend by name"),
        ("cli.export", "backends.paging", "a backend by name"),
        ("layouts.own.synapsekit", "layouts.foreign.langchain", "know no others"),
        ("memory.stored", "backends.redis.scripts", "a backend by name"),
        ("backends.redis.store", "backends.sqlite.reading", "a backend by name"),
        ("backends.paging", "backends.mongo.head", "a backend by name"),
        ("backends", "backends.file.store", "a backend by name"),
        ("operations.listing", "operations.export", "import each other"),
        ("vectors.nearest", "vectors.store", "import each other"),
    ],
)  # fmt: skip
def test_a_wrong_import_is_found(module: str, imported: str, why: str) -> None:
    modules = house(ROOT)
    modules[module].add(imported)
    [found, *_] = [each for each in wrong(modules) if each.endswith(why)]
    assert module in found
    assert imported in found


def test_every_driver_is_known() -> None:
    assert {"sqlite", "redis", "postgres", "mongo", "dynamodb", "file"} <= DRIVERS


LOADING = {
    "__init__", "memory", "models", "formats", "cli.app", "backends", "backends.file.forms",
    "layouts.registry",
}  # fmt: skip
"""Who loads modules by their names, from a table of them: of what is below itself, of the forms of
a file, or of the layouts."""


def test_only_a_table_of_modules_loads_them_by_their_names() -> None:
    found = {
        _name(ROOT, path)
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).split(".")[-1] in ("import_module", "__import__")
    }
    assert {name.lstrip(".") for name in found} == LOADING


OWN_KIND = {
    "backends.file.store: store._only",
    "memory.connections: _open[key]._holders", "operations.deriving.covering: covering._covered",
    "operations.deriving.covering: covering._last", "operations.deriving.covering: covering._see",
}  # fmt: skip
"""Where another object is one of the class that reaches into it, or of its module."""

TYPERS = {
    "cli.plain_values: parameter._runtime_param",
    "cli.plain_values: self._parameter._runtime_param",
}
PUBLIC = {"_replace", "_asdict", "_exit"}
"""The names of named tuples' methods, and of `os`, that are no privates."""


def _reaches(path: Path) -> set[str]:
    """Where a module reaches into the privates of another object."""
    return {
        f"{_name(ROOT, path)}: {ast.unparse(node)}"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and not node.attr.endswith("__")
        and node.attr not in PUBLIC
        and ast.unparse(node.value) not in ("self", "cls", "super()")
    }


def test_nothing_reaches_into_the_privates_of_another() -> None:
    assert set().union(*map(_reaches, FILES)) == OWN_KIND | TYPERS


def test_imports_are_seen_wherever_they_stand(tmp_path: Path) -> None:
    (tmp_path / "backends" / "sqlite").mkdir(parents=True)
    for name in ("__init__", "backends/__init__", "backends/sqlite/__init__"):
        (tmp_path / f"{name}.py").touch()
    (tmp_path / "backends" / "sqlite" / "store.py").write_text("x = 1\n")
    (tmp_path / "cli.py").write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import synmem.backends.sqlite.store.store\n"
        "def f():\n    from synmem.backends.sqlite.store import store\n    from synmem import __version__\n"
    )
    (tmp_path / "notes.py").write_text("from synmem.backends.sqlite.store.store import x\n")
    found = house(tmp_path)
    assert found["cli"] == {"backends.sqlite.store", "__init__"}
    assert found["notes"] == {"backends.sqlite.store"}


MOST_LINES = 450
"""No module is longer, but `messages`: parted it would be several floors, and a circle."""


def test_modules_and_functions_stay_small() -> None:
    lengths = []
    for path in FILES:
        text = path.read_text()
        assert text.count("\n") <= MOST_LINES or path.name == "messages.py", path
        lengths += [
            node.end_lineno - node.lineno + 1
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno
        ]
    lengths.sort()
    assert lengths[len(lengths) // 2] <= 8
    assert lengths[len(lengths) * 95 // 100] < 50


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
    "numpy", "pydantic", "tomlkit", "tomli_w", "rich", "textual", "markdown_it", "wcwidth", "wordllama", "multiprocessing", "orjson",
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


@pytest.mark.skipif(
    tuple(map(int, typer.__version__.split(".")[:2])) < (0, 29), reason="older ones need no sparing"
)
def test_typer_has_what_is_asked_of_its_privates() -> None:
    def command(number: Annotated[int, typer.Option(min=1)] = 1) -> None: ...

    app = typer.Typer(add_completion=False)
    app.command()(command)
    [number] = typer.main.get_command(app).params
    missing = []
    for name in PRIVATE:
        try:
            attrgetter(name)(number)
        except AttributeError:
            missing.append(name)
    assert not missing, (
        f"Typer {typer.__version__} has moved: see cli/plain_values.py, without which every "
        "command loads pydantic; then raise the bound in pyproject.toml"
    )


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
