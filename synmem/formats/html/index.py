"""The index of a folder of pages: each conversation by its title, with a link to its page."""

from collections.abc import Sequence
from urllib.parse import quote

from synmem.formats.facts import count
from synmem.formats.html.facts import encoded, facts, name_of
from synmem.formats.html.page import foot, listing_head
from synmem.formats.html.text import attribute
from synmem.messages import Message
from synmem.store import ConversationInfo


class Index:
    """The page, entry by entry."""

    def __init__(self) -> None:
        self._conversations = 0

    def begin(self) -> bytes:
        """What stands before the first entry."""
        return encoded(f'{listing_head()}<main id="main" data-noun="conversation">\n')

    def entry(self, info: ConversationInfo, file: str, messages: Sequence[Message] = ()) -> bytes:
        """A conversation, and the name of the file beside the index that has its page; and its
        first messages, where it has no title."""
        self._conversations += 1
        name = name_of(info, messages)
        link = f'<a href="./{attribute(quote(file, safe=""))}">{name}</a>'
        words = " · ".join(facts(info, name))
        return encoded(
            f'<article class="i"><h2 dir="auto">{link}</h2><p class="w">{words}</p></article>\n'
        )

    def end(self) -> bytes:
        """What stands behind the last one."""
        return encoded(foot(count(self._conversations, "conversation")))
