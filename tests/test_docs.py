"""The pages in docs/ are true to the code: the names that they use are there."""

import importlib
import re
from pathlib import Path

import msgspec
import pytest

from synmem.layouts import registry, shapes
from synmem.layouts.foreign import langchain
from tests import places_table
from tests.layouts import test_fixtures

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs").glob("*.md"))
LAYOUTS = (ROOT / "docs" / "layouts.md").read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_paths_that_a_page_names_are_there_and_the_readme_names_the_page(page: Path) -> None:
    for path in re.findall(r"`((?:synmem|tests)/[\w/.-]+)`", page.read_text()):
        assert (ROOT / path).exists(), path
    assert f"docs/{page.name}" in (ROOT / "README.md").read_text()


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
