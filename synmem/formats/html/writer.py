"""Pages of conversations.

One that is alone in its file is shown as it is; of several each is folded below its title, so that
the page is its own index. A message is an article, `#m12`, or of several conversations `#c3-m12`:
the number is the one that `show` and `search` give.
"""

from collections.abc import Sequence

from synmem.formats.facts import count
from synmem.formats.html import parts
from synmem.formats.html.facts import encoded, facts, name_of, time
from synmem.formats.html.page import foot, head, listing_head
from synmem.formats.html.text import line, markdown
from synmem.formats.parts import is_reasoning
from synmem.messages import ROLES, Conversation, Message
from synmem.store import ConversationInfo


class Writer:
    """A page, conversation by conversation."""

    def __init__(self) -> None:
        self._info: ConversationInfo | None = None
        self._alone = False
        self._begun = False
        self._open = ""
        """What ends the conversation that is open."""
        self._conversations = self._messages = 0
        self._number = 1
        self._expected = 1
        self._unnamed: tuple[Conversation, ConversationInfo] | None = None
        """The conversation whose head waits for what is said first in it."""

    def begin(self) -> bytes:
        """Nothing yet: the page may have the title of its only conversation."""
        return b""

    def listed(self, info: ConversationInfo, *, alone: bool) -> None:
        """See `TakesListing.listed`."""
        self._info, self._alone = info, alone and not self._begun

    def number(self, number: int) -> None:
        """See `TakesNumbers.number`."""
        if self._expected == 1 and number > 1 and self._number == 1:
            self._expected = number  # an earlier part has what stands before
        self._number = number

    def conversation(self, conversation: Conversation) -> bytes:
        """Its head; before the first one, the page's."""
        title = conversation.title or conversation.id
        text = self._named() + (self._open if self._begun else self._head(title))
        self._begun = True
        self._conversations += 1
        self._number = self._expected = 1
        self._unnamed = conversation, self._info or ConversationInfo(id=conversation.id)
        self._info = None
        if conversation.title or self._alone:
            text += self._named()
        self._open = "" if self._alone else "</details></section>\n"
        return encoded(text)

    def _named(self, messages: Sequence[Message] = ()) -> str:
        """The head of the conversation that lacks one; of several that have no title each is named
        by its first messages."""
        if self._unnamed is None:
            return ""
        (conversation, info), self._unnamed = self._unnamed, None
        name = name_of(conversation, messages)
        words = " · ".join(facts(info, name))
        if self._alone:
            text = f'<h1 dir="auto">{name}</h1>\n<p class="w">{words}</p>\n'
            return text + '</header>\n<main id="main">\n'
        text = f'<section id="c{self._conversations}"><details class="c"><summary>'
        return text + f'<h2 dir="auto">{name}</h2> <span class="w">{words}</span></summary>\n'

    def messages(self, messages: Sequence[Message]) -> bytes:
        """An article each."""
        text = self._named(messages if self._number == 1 else ())
        text += "".join(map(self._passed_over, range(self._expected, self._number)))
        for number, message in enumerate(messages, self._number):
            text += self._article(number, message)
        self._number = self._expected = self._number + len(messages)
        self._messages += len(messages)
        return encoded(text)

    def end(self) -> bytes:
        """The counts, and the page's end."""
        text = self._named() + (self._open if self._begun else self._head("Conversations"))
        counts = f"{count(self._conversations, 'conversation')}, "
        counts += count(self._messages, "message")
        return encoded(text + foot(counts))

    def _head(self, title: str) -> str:
        if self._alone:
            return f"{head(title)}<header>\n"
        return f'{listing_head()}<main id="main">\n'

    def _anchor(self, number: int) -> str:
        return f"m{number}" if self._alone else f"c{self._conversations}-m{number}"

    def _passed_over(self, number: int) -> str:
        anchor = self._anchor(number)
        return f'<article id="{anchor}" class="e">#{number:,} cannot be read</article>\n'

    def _article(self, number: int, message: Message) -> str:
        role = message.role if message.role in ROLES else "other"
        level, anchor = ("h2" if self._alone else "h3"), self._anchor(number)
        words = [f'<a href="#{anchor}">#{number:,}</a>']
        if message.created_at is not None:
            words.append(time(message.created_at))
        name = f' <span class="n">{line(message.name)}</span>' if message.name else ""
        heading = f"<{level}>{line(message.role, 60) or '(no role)'}{name} "
        heading += f'<span class="w">{" ".join(words)}</span></{level}>'
        inner = "".join([*_content(message), *parts.beside(message)])
        return f'<article id="{anchor}" class="{role}">{heading}{inner}</article>\n'


def _content(message: Message) -> list[str]:
    """What was said; results and reasoning are folded."""
    if message.tool_call_id is not None or message.role == "tool":
        answers = message.tool_call_id
        head = [f'<p class="w">answers {line(answers)}</p>'] if answers else []
        return [*head, parts.result(message)]
    if is_reasoning(message.role):
        return [parts.thought(message.content)]
    if not message.content:
        beside = message.parts or message.tool_calls
        return [] if beside else ['<p class="w">(empty)</p>']
    return [f'<div class="t" dir="auto" lang="">{markdown(message.content)}</div>']
