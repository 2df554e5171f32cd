"""The page around the conversations: its head, with style, script and policy, and its end."""

import base64
import functools
import hashlib
from importlib.resources import files
from typing import Final, NamedTuple

from synmem.formats.html.text import line

CONTROLS: Final = """\
<a class="skip" href="#main">Skip to the content</a>
<div class="bar" role="search" hidden>
<label>Search <input type="search" autocomplete="off" spellcheck="false"></label>
<output></output>
<button type="button">Unfold all</button>
</div>
"""
_END: Final = "</body>\n</html>\n"


class _Parts(NamedTuple):
    style: str
    script: str
    policy: str


@functools.cache
def _parts() -> _Parts:
    here = files("synmem.formats.html")
    style = here.joinpath("page.css").read_text("utf-8")
    script = here.joinpath("page.js").read_text("utf-8")
    # Of everything that is not named here, nothing may be loaded, run, sent or framed.
    policy = (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    return _Parts(style, script, policy)


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def head(title: str) -> str:
    """All up to the body's own elements."""
    parts = _parts()
    return f"""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{parts.policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<meta name="generator" content="synmem">
<title>{line(title)}</title>
<style>{parts.style}</style>
<script type="module">{parts.script}</script>
</head>
<body>
{CONTROLS}"""


def listing_head() -> str:
    """The same of a page that lists conversations, with what stands above them."""
    return f"{head('Conversations')}<header>\n<h1>Conversations</h1>\n</header>\n"


def foot(words: str) -> str:
    """The end of a page, from its main element's on; `words` is HTML."""
    return f'</main>\n<footer class="w">{words}</footer>\n{_END}'
