"""The summary without a model: that it says what was said."""

import math
from collections.abc import Sequence

import pytest

from synmem.messages import Message
from synmem.operations.deriving import extractive
from synmem.operations.deriving.extractive import (
    Extract,
    Sentence,
    as_json,
    best,
    from_json,
    sentences,
    summary_of,
)

HEAD = "Summary of earlier conversation:\n"

# Conversations as people write them, and what somebody who has read one would note down.
MIGRATION = (
    """user: Hi there, hope you had a good weekend!
assistant: Hello! How can I help you today?
user: We need to move our chat history from Redis to PostgreSQL before March 15, because the Redis cluster runs out of memory.
assistant: Sure. How large is the Redis data set, and how many conversations are in it?
user: About 40 GB, in 2.3 million conversations. Most of them are short.
assistant: For 2.3 million short conversations you should batch the migration: copy many conversations in one COPY to PostgreSQL instead of one transaction each. That makes the migration about eight times faster.
user: ok nice
assistant: Do you need the original timestamps?
user: Yes, timestamps must be kept, our retention policy deletes conversations after 90 days.
assistant: Then add a created_at column with time zone to the PostgreSQL table and an index on it, so that the retention job can delete old conversations quickly.
user: My cat just walked over the keyboard, sorry.
assistant: No problem, cats do that!
user: Who will verify the migration?
assistant: Run a check after the migration: it compares every conversation in Redis with its copy in PostgreSQL and prints the differences. Only when the check finds no difference, delete the Redis keys.
user: Great. We decided to run the migration in the night of March 8, and Anna is responsible for the check.
assistant: Good plan. I would keep the Redis cluster read-only during that night, so that no message arrives while you copy.
user: Thanks a lot, talk to you soon!
assistant: You're welcome! Have a nice day.""",
    "move chat history Redis PostgreSQL March 15 memory; 2.3 million conversations batch COPY;"
    " timestamps kept retention 90 days; migration night March 8 Anna check; delete Redis keys",
)
TRIP = (
    """user: Good morning!
assistant: Good morning! What's on your mind?
user: My sister and I want to travel through Portugal in May, ten days, mostly by train.
assistant: Lovely idea! May is a good time: warm, and the trains between Lisbon, Coimbra and Porto run every hour.
user: She cannot walk far because of her knee, so no hills please.
assistant: Then avoid the old quarters of Lisbon on foot; take tram 28. In Porto stay near the river in Gaia, which is flat, and for a bad knee the boat on the Douro is better than walking.
user: haha yes
user: We have about 1500 euros for hotels together.
assistant: With 1500 euros for ten nights you have 150 a night. In May that is enough for a hotel with a lift in Lisbon and in Porto, if you book the hotels by February.
user: ok cool
assistant: Shall I suggest a route?
user: Yes please
assistant: Four nights in Lisbon, two nights in Coimbra, four nights in Porto. All trains are direct, and the hotels are near flat stations, so your sister's knee is spared.
user: She is a vegetarian by the way. Will she find food?
assistant: Yes, Lisbon and Porto have many vegetarian restaurants; Coimbra has two near the station.
user: Perfect, we take this route then, and I book the trains tomorrow.
assistant: Great. Remember that train tickets are half the price if you buy them 60 days before.
user: My phone is almost empty, bye!
assistant: Bye, have a nice day!""",
    "sister travel Portugal May ten days train; knee no hills flat; 1500 euros hotels February;"
    " four nights Lisbon two Coimbra four Porto; vegetarian; book trains 60 days half price",
)


def said(text: str) -> list[Message]:
    return [Message(*line.split(": ", 1)) for line in text.splitlines()]


def extract(messages: list[Message], *, max_characters: int = 2000) -> list[Sentence]:
    made = Extract()
    for number, message in enumerate(messages, start=1):
        made.add(number, message)
    count = len(messages)
    return summary_of(made.candidates(), messages=count, max_characters=max_characters)


def recall(text: str, wanted: str) -> float:
    words = {word.lower().strip(".,:;!?") for word in text.split()}
    keys = {word.lower().strip(";") for word in wanted.split()}
    return len(words & keys) / len(keys)


def first_and_last(messages: list[Message], characters: int) -> str:
    """As many first and last lines as the summary has characters."""
    taken: list[str] = []
    left, right = 0, len(messages) - 1
    while left <= right and sum(map(len, taken)) < characters:
        taken += [messages[left].content, messages[right].content]
        left, right = left + 1, right - 1
    return " ".join(taken)[:characters]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [MIGRATION, TRIP, (f"{MIGRATION[0]}\n{TRIP[0]}", f"{MIGRATION[1]}; {TRIP[1]}")],
)
def test_it_says_more_of_what_matters_than_the_first_and_last_lines_at_every_length(
    text: str, wanted: str
) -> None:
    messages = said(text)
    ahead = []
    for characters in (350, 500, 700, 1000):
        ours = " ".join(each.text for each in extract(messages, max_characters=characters))
        theirs = first_and_last(messages, len(ours))
        assert len(ours) <= characters
        assert recall(ours, wanted) > recall(theirs, wanted) + 0.05
        ahead.append(recall(ours, wanted) - recall(theirs, wanted))
    assert sum(ahead) / len(ahead) > 0.1


def test_the_needles_are_found_among_small_talk() -> None:
    chat = [Message("user", "Hello there, how are you doing?"), Message("assistant", "Fine!")] * 60
    facts = [
        "The invoice number of the Oslo office is 4711 and it is due in October.",
        "The Oslo office pays its invoice in Norwegian crowns, due in October.",
        "Please send the reminder for the October invoice to the Oslo office.",
    ]
    for n, fact in enumerate(facts):
        chat[30 + 20 * n] = Message("user", fact)
    assert {each.text for each in extract(chat)} >= set(facts)


def test_it_is_the_same_every_time_and_in_order() -> None:
    messages = said(MIGRATION[0])
    chosen = extract(messages)
    assert chosen == extract(messages)
    places = [(each.number, each.place) for each in chosen]
    assert places == sorted(places)


def test_it_does_not_repeat_itself() -> None:
    line = "The database has to be moved to the new server on Monday."
    other = "Karl keeps the passwords of the router in the blue folder."
    chosen = extract([Message("user", line)] * 30 + [Message("user", other)] * 3)
    assert {line, other} <= {each.text for each in chosen}


def test_short_messages_only_still_make_a_summary() -> None:
    assert extract([Message("user", f"message {n}") for n in range(50)])
    assert extract([Message("user", "ok")])
    assert extract([Message("user", "!?")]) == []


def test_code_is_passed_over_and_long_sentences_are_cut() -> None:
    text = "Use this function:\n```python\nimport os\nos.remove(path)\n```\n" + "word " * 200
    found = sentences(1, Message("assistant", text))
    assert found[0].text == "Use this function:"
    assert all("import" not in each.text for each in found)
    assert len(found[1].text) <= 304


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Dr. Lee met us at 3.5 km. It rained a lot, e.g. at noon. Why?", 3),
        ("私は学生です。東京に住んでいます。", 2),
        ("- one item here\n* another item there\n1. a third one", 3),
    ],
)
def test_sentences_end_where_they_end(text: str, parts: int) -> None:
    assert len(sentences(1, Message("user", text))) == parts


def test_an_earlier_summary_is_taken_by_its_lines() -> None:
    text = HEAD + "User: Anna moves to Berlin in March.\nAssistant: Rents there are high."
    found = sentences(1, Message("system", text))
    assert [(each.role, each.text) for each in found] == [
        ("user", "Anna moves to Berlin in March."),
        ("assistant", "Rents there are high."),
    ]


def test_what_was_kept_goes_on_as_if_it_had_been_read() -> None:
    messages = said(MIGRATION[0])
    first = Extract()
    for number, message in enumerate(messages[:10], start=1):
        first.add(number, message)
    later = Extract(from_json(as_json(first.candidates())))
    for number, message in enumerate(messages[10:], start=11):
        later.add(number, message)
    again = summary_of(later.candidates(), messages=len(messages), max_characters=2000)
    assert again == extract(messages)
    assert from_json({"not": "ours"}) == []


def test_a_huge_conversation_is_bounded_work(monkeypatch: pytest.MonkeyPatch) -> None:
    split: list[int] = []
    compared: list[int] = []

    def counted_split(number: int, message: Message) -> list[Sentence]:
        split.append(number)
        return sentences(number, message)

    def counted_best(candidates: Sequence[Sentence], count: int) -> list[Sentence]:
        compared.append(len(candidates))
        return best(candidates, count)

    monkeypatch.setattr(extractive, "sentences", counted_split)
    monkeypatch.setattr(extractive, "best", counted_best)
    text = "The tide {0} comes at {1} and the harbour {2} is closed then. Nobody sails at {1}."
    for count in (20_000, 60_000):
        made = Extract()
        split.clear()
        compared.clear()
        for n in range(count):
            made.add(n, Message("user", text.format(n % 97, n % 89, n % 83)))
        chosen = summary_of(made.candidates(), messages=count, max_characters=2000)
        assert 3 <= len(chosen) <= 15
        # Two sentences a message; 4,000 are kept, and each doubling of the stride brings 1,000
        # more messages to look at. So the work grows with the length's logarithm.
        assert len(split) <= 1_000 * (2 + math.log2(count / 1_000))
        assert max(compared) <= 200
        assert sum(compared) <= 6_000
