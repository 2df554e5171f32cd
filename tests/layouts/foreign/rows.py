"""Rows as the layouts that `synmem/layouts/foreign/tables.py` serves get them: JSON texts."""

import json
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as some

from synmem.layouts.foreign.values import as_json
from tests.layouts.foreign.odd import JSON, document

Rows = Mapping[str, list[list[Any]]]


def rows(**queries: Any) -> Rows:
    """What each query brings: an object a row."""
    return {
        name.replace("_of_", " of "): [[json.dumps(as_json(each))] for each in some]
        for name, some in queries.items()
    }


def odd_rows(**keys: tuple[str, ...]) -> Any:
    """Of each query some rows: objects with some of these keys, other JSON, or no JSON."""
    texts = {
        name.replace("_of_", " of "): some.lists(
            (document(*those).map(json.dumps) | JSON.map(json.dumps) | JSON).map(lambda row: [row]),
            max_size=4,
        )
        for name, those in keys.items()
    }
    return some.fixed_dictionaries(texts)
