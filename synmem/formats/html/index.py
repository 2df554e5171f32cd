"""The index of a folder of pages: each conversation by its title, with a link to its page."""

from urllib.parse import quote

from synmem.formats.facts import count
from synmem.formats.html.facts import encoded, facts
from synmem.formats.html.page import foot, listing_head
from synmem.formats.html.text import attribute, line
from synmem.store import ConversationInfo


class Index:
    """The page, entry by entry."""

    def __init__(self) -> None:
        self._conversations = 0

    def begin(self) -> bytes:
        """What stands before the first entry."""
        return encoded(f'{listing_head()}<main id="main" data-noun="conversation">\n')

    def entry(self, info: ConversationInfo, file: str) -> bytes:
        """A conversation, and the name of the file beside the index that has its page."""
        self._conversations += 1
        name = line(info.title or "") or line(info.id) or "(blank)"
        link = f'<a href="./{attribute(quote(file, safe=""))}">{name}</a>'
        words = " · ".join(facts(info, titled=bool(info.title)))
        return encoded(
            f'<article class="i"><h2 dir="auto">{link}</h2><p class="w">{words}</p></article>\n'
        )

    def end(self) -> bytes:
        """What stands behind the last one."""
        return encoded(foot(count(self._conversations, "conversation")))
