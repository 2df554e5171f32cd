"""Names as the APIs of models take them: they answer 400 to any other."""

import re
from typing import Final

from synmem.messages import JSONObject, flat_call

UNNAMED: Final = "unnamed"
"""The function of a call that names none: a call without a name is refused, and one that is left
out would leave its result alone."""

_LONGEST: Final = 64
_NOT_IN_A_FUNCTION: Final = re.compile(r"[^a-zA-Z0-9_-]")
_NOT_IN_A_SPEAKER: Final = re.compile(r"[\s<|\\/>]+")


def called(call: JSONObject) -> str:
    """The name of the function that is called, as it was said."""
    name = flat_call(call).get("name")
    return name if isinstance(name, str) and name else UNNAMED


def function_name(call: JSONObject) -> str:
    """The name of the function; letters that no API takes there become `_`."""
    return _NOT_IN_A_FUNCTION.sub("_", called(call))[:_LONGEST]


def speaker(name: str | None) -> str | None:
    """Who speaks, as OpenAI takes it: what it refuses becomes `_`; None where nothing is left."""
    kept = _NOT_IN_A_SPEAKER.sub("_", name or "")
    return kept[:_LONGEST] if kept.strip("_") else None
