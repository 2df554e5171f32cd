"""The pages in docs/ are true to the code: the names that they use are there."""

import importlib
import re
from pathlib import Path

import msgspec
import pytest

from synmem import config, profiles
from synmem.embedding_settings import embedding_settings
from synmem.layouts import registry, shapes
from synmem.layouts.foreign import langchain
from synmem.model_settings import llm_settings
from tests import places_table
from tests.layouts import test_fixtures

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs").glob("*.md"))
LAYOUTS = (ROOT / "docs" / "layouts.md").read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_says_first_for_whom_it_is(page: Path) -> None:
    assert re.match(r"# .*\n\nFor those who", page.read_text())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_paths_that_a_page_names_are_there_and_the_readme_names_the_page(page: Path) -> None:
    for path in re.findall(r"`((?:synmem|tests)/[\w/.-]+)`", page.read_text()):
        assert (ROOT / path).exists(), path
    assert f"docs/{page.name}" in (ROOT / "README.md").read_text()


TOML = [
    pytest.param(block, id=f"{page.name}-{number}")
    for page in PAGES
    for number, block in enumerate(re.findall(r"```toml\n(.*?)```", page.read_text(), re.DOTALL))
]


@pytest.mark.parametrize("block", TOML)
def test_a_configuration_that_a_page_shows_is_taken(
    block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in re.findall(r"\$\{(\w+)\}", block):
        monkeypatch.setenv(variable, "s3cret")
    file = tmp_path / "config.toml"
    file.write_text(re.sub(r'_command = "pass [^"]*"', '_command = "echo s3cret"', block))
    file.chmod(0o600)
    read = config.load(file)
    for name in read.profiles:
        profiles.named(name, read)
    if "[llm]" in block:
        assert llm_settings(file) is not None
    assert embedding_settings(file) or "[embedding]" not in block


def test_the_page_of_places_is_that_of_the_table() -> None:
    assert places_table.PAGE.read_text() == places_table.page(), (
        "python -m tests.places_table writes it"
    )


@pytest.mark.parametrize("name", ["Rows", "Write"])
def test_the_table_of_a_shape_has_each_of_its_fields(name: str) -> None:
    table = (
        LAYOUTS.partition(f"<!-- shape: {name} -->")[2].partition("\n\n")[2].partition("\n\n")[0]
    )
    said = [cell.split("|")[1] for cell in table.split("\n")[2:]]
    named = [field for cell in said for field in re.findall(r"`(\w+)`", cell)]
    assert named == [field.name for field in msgspec.structs.fields(getattr(shapes, name))]


def test_the_example_is_that_of_the_code() -> None:
    module, line, fixture = re.findall(r"```python\n(.*?)\n```", LAYOUTS, re.DOTALL)
    assert module in Path(langchain.__file__).read_text()
    assert line in Path(registry.__file__).read_text()
    assert fixture in Path(test_fixtures.__file__).read_text()
    for name in ("_unfold", "HOLDS"):
        assert hasattr(langchain, name)
    assert importlib.import_module("synmem.backends.file.forms").FORMS
    [shape] = langchain.SHAPES["sqlite"]
    for value in (shape.table, shape.conversation, *shape.columns, *shape.order, *shape.record):
        assert f"`{value}`" in LAYOUTS
    assert (shape.any_name, shape.beside, shape.without, shape.live) == (True, set(), set(), "")
