"""The shapes that a layout declares itself in: what a driver must know to read and write it.

A layout is data and pure functions: it opens nothing and awaits nothing. Each backend's
`foreign.py` reads the shapes that its driver can hold, once for all layouts.

| shape       | what it is                                             | driver             |
| ----------- | ------------------------------------------------------ | ------------------ |
| `Rows`      | a table of which each row is a record                  | SQLite, PostgreSQL |
| `Whole`     | a conversation is what several queries tell together   | SQLite, PostgreSQL |
| `Lists`     | a list of which each item is a record                  | Redis              |
| `Keys`      | a JSON document under a key of its own is a record     | Redis              |
| `Documents` | a collection of which each document is a record        | MongoDB            |
| `Gathered`  | a conversation is what several documents tell together | MongoDB            |
| `Items`     | an item that holds a whole conversation in a list      | DynamoDB           |
| `Export`    | a JSON file of which each value is a conversation      | file               |
| `Folder`    | files of which each conversation has one, or several   | file               |
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from synmem.layouts.heads import Head
from synmem.messages import Holds, JSONObject, Message, Unreadable

Record = Sequence[Any]
"""The values of a row in the columns that a layout asks for."""

Columns = Mapping[str, str]
"""The columns of a table, and the type of each as the database calls it."""

Sketch = Mapping[str, Columns]
"""The tables of a place that may be read, and their columns."""


MALFORMED: Final = (ValueError, TypeError, LookupError, AttributeError, RecursionError)
"""On what a layout comes to grief that meets a value of a kind that it does not expect, or one that
is nested so deeply that it can be read and not written."""


def reason(error: Exception) -> str:
    """Why something cannot be read; of a key that is not there, which one that is."""
    return f"no {error}" if isinstance(error, KeyError) else str(error)


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What all records of a conversation say together."""

    messages: Sequence[Message | Unreadable]
    """In order, of the current branch; a record that cannot be read stands in its place."""
    title: str | None = None
    extra: JSONObject | None = None
    branches: Mapping[str, Sequence[Message | Unreadable]] = {}
    """The other branches, whole, from the conversation's beginning on: by the id of their leaf."""
    leaf: str | None = None
    """The id of the record at which the current branch ends, where records have ids."""


# --- databases of tables --------------------------------------------------------------------


class Beside(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in another table for each conversation, and is kept in step: SQL on `{table}` of
    which the one parameter is the conversation's id."""

    table: str
    """What the framework calls the table; where a foreign key of the conversation's column names
    another one, it is that."""
    opens: str
    """Before its first row is written: it may be there already."""
    touches: str
    """After rows of it were written, or some of them removed."""
    ends: str
    """After its last row was removed."""


class Write(msgspec.Struct, frozen=True, kw_only=True):
    """How a framework finds its rows again: each of them is one message."""

    fold: Callable[[Message], Record]
    """The values of the record's columns, from a message that is not refused; of one that is a key
    of the order too, `key` gives the value."""
    refusal: Callable[[Message], str | None]
    """Why the framework's own reader would refuse or change that message, or None."""
    schema: Mapping[str, Sequence[str]]
    """By backend, the statements with which the framework makes its `{table}`, to the letter;
    `{table:idx_*_id}` is a name that is made of the table's."""
    key: Callable[[Message, Any, Any], Any] | None = None
    """Where rows are ordered by something before their number, a time: what it is for a message
    between two rows of which it has these values (None: no row there), never less than the one
    before nor more than the one behind. ValueError where the message's own does not fit there."""
    beside: Mapping[str, Beside] = {}
    """By backend, what stands for a conversation in another table."""


class Rows(msgspec.Struct, frozen=True, kw_only=True):
    """A table of which each row is a record of one conversation."""

    table: str
    """What the framework calls the table."""
    any_name: bool = False
    """Whether its users may call it otherwise."""
    begins: str = ""
    """What any name of it begins with, in small letters."""
    version: str = ""
    """Which of the layout's kinds or versions it is, for a person; empty where there is one."""
    columns: frozenset[str]
    """The columns by which it is known; there may be others."""
    types: Mapping[str, frozenset[str]] = {}
    """Of a column the types, as the database calls them in small letters and without a length, of
    which it has one."""
    lacks: frozenset[str] = frozenset()
    """Columns that it does not have, or it is another layout's."""
    beside: frozenset[str] = frozenset()
    """Tables that stand beside it."""
    without: frozenset[str] = frozenset()
    """Tables that do not, or it is another layout's."""
    tells: Callable[[Record], bool] | None = None
    """Where the columns alone do not say it: whether a record is one of these. One of the first
    twenty must be, where there are any."""
    conversation: str
    """The column of the conversation's id."""
    order: tuple[str, ...]
    """The columns by which the rows of a conversation are ordered. The last one is an integer that
    the database gives, and no two have the same: a column, or `rowid` where none is. Where a user's
    table is otherwise, rows that have the same come as they were written, and the table can only be
    read. To be written, a table is ordered by that one alone, or `write.key` gives the others."""
    record: tuple[str, ...]
    """The columns that are read."""
    live: str = ""
    """A condition, in SQL, that a row fulfils which is not archived or deleted."""
    single: bool = True
    """Whether each record is exactly one message or unreadable, so that counting rows counts
    messages."""
    unfold: Callable[[Record], Sequence[Message | Unreadable]]
    """The messages of a record, perhaps none; ValueError says why it cannot be read. Where it is
    several, what cannot be read of it stands in its place."""
    texts: Callable[[Sequence[str]], list[tuple[str, str]] | None] | None = None
    """Where the record is one column of text: role and content of all of these, of which a message
    has nothing else, as `unfold` gives them. None where one may have more, or cannot be read."""
    holds: Holds
    """What a message and a conversation have there."""
    write: Write | None = None
    """None where the framework would not read back what another has written."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How the conversations of a place are asked for. `{ids}` in a query is the set of the ids that
    are wanted, as it stands behind IN; `{values}`, on SQLite, a table of them of the one column
    `column1`. Of each query the first column is a conversation's id."""

    listing: str
    """A query of all conversations: one column, called `id`, of text."""
    queries: Mapping[str, str]
    """The queries of what conversations hold, by the names under which `unfold` gets their rows, in
    their order."""
    strays: str = ""
    """A query of the rows that no conversation has: what they are called for a person, why they
    are in none, and how many they are."""
    heads: Mapping[str, str] = {}
    """Where a conversation is much larger than what a listing shows of it: the queries of that
    alone, by the names under which `Whole.head` gets their rows. SQLite."""
    tells: str = ""
    """A query that has a row where the tables are the layout's, if their columns do not say it."""


class Whole(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation that lies in several tables, or of which only all rows tell the order."""

    tables: Mapping[str, frozenset[str]]
    """The tables by which it is known, and the columns that each of them must have; the first is
    what a person knows it by."""
    without: frozenset[str] = frozenset()
    """Tables that do not stand beside these, or it is another layout's."""
    version: str = ""
    """Which of the layout's kinds or versions it is, for a person; empty where there is one."""
    plan: Callable[[Sketch], Plan]
    """The queries, for a place that has these tables: older versions lack some."""
    unfold: Callable[[str, Mapping[str, Sequence[Record]]], Told]
    """What the conversation of that id says, from the rows of each query, less their first column;
    ValueError where nothing of it can be read."""
    head: Callable[[str, Mapping[str, Sequence[Record]]], Told] | None = None
    """The same from the rows of `Plan.heads`, with the first message and the last one alone."""
    holds: Holds
    """What a message and a conversation have there."""


# --- Redis ----------------------------------------------------------------------------------


class Lists(msgspec.Struct, frozen=True, kw_only=True):
    """A list of which each item is a record, under a key that says the conversation's id."""

    prefix: str
    """What all its keys begin with; `prefix` in a profile names another. Without one, a list is a
    conversation where an item tells it, and is no other layout's."""
    version: str = ""
    """Which of the layout's kinds or versions it is, for a person; empty where there is one."""
    id_of: Callable[[str], str | None]
    """The conversation of the list with this key, less the prefix; None where it is none, and empty
    where it would be one, of no id."""
    key_of: Callable[[str], str] | None = None
    """The key, less the prefix, of a conversation's list; None where `keys_of` must tell."""
    keys_of: Callable[[Sequence[str]], Mapping[str, str]] | None = None
    """Where keys say more than an id: by conversation the key of its list, from all keys of lists
    that have an id, less the prefix."""
    newest_first: bool = False
    """Whether a new item is put in front."""
    tells: Callable[[bytes], bool]
    """Whether an item is a record of this layout."""
    single: bool = True
    """Whether each item is exactly one message or unreadable, so that counting items counts
    messages; what is written is so."""
    unfold: Callable[[bytes], Sequence[Message]]
    """The messages of an item, perhaps none; ValueError says why it cannot be read."""
    holds: Holds
    """What a message and a conversation have there."""
    fold: Callable[[Message], bytes] | None = None
    """The item for a message that is not refused; None where the layout is only read."""
    refusal: Callable[[Message], str | None] | None = None
    """Why the framework's own reader would refuse or change that message, or None."""
    hash_of: Callable[[str], str] | None = None
    """The key, less the prefix, of the hash that stands beside a conversation's list and has its id
    in `session_id`, and when it was made and changed in `created_at` and `updated_at`, in seconds
    since 1970."""


class Keys(msgspec.Struct, frozen=True, kw_only=True):
    """A JSON document (RedisJSON) for each message, under a key of its own; only read."""

    prefix: str
    """What all its keys begin with; `prefix` in a profile names another."""
    version: str = ""
    """Which of the layout's kinds or versions it is, for a person; empty where there is one."""
    id_of: Callable[[str], str | None]
    """The conversation of the document with this key, less the prefix; None where it is none."""
    order_of: Callable[[str, JSONObject], Any]
    """By what the documents of a conversation are sorted, from the key and the document."""
    tells: Callable[[JSONObject], bool]
    """Whether a document is one of these."""
    unfold: Callable[[JSONObject], Sequence[Message]]
    """The messages of a document, perhaps none; ValueError says why it cannot be read."""
    holds: Holds
    """What a message and a conversation have there."""


# --- MongoDB --------------------------------------------------------------------------------
#
# What a layout gets of a document is JSON, but for binary data, which are bytes: an ObjectId is its
# hexadecimal text, a date ISO 8601 in UTC, what else JSON has no word for MongoDB's Extended JSON.


class Documents(msgspec.Struct, frozen=True, kw_only=True):
    """A collection of which each document is a record of one conversation."""

    collection: str
    """What the framework calls the collection; its users may call it otherwise."""
    database: str
    """What the framework calls the database; its users may call it otherwise."""
    version: str = ""
    """Which of the layout's kinds or versions it is, for a person; empty where there is one."""
    tells: Callable[[JSONObject], bool]
    """Whether a document is one of these; one of the first twenty must be."""
    conversation: str
    """The field of the conversation's id."""
    order: tuple[str, ...]
    """The fields by which the documents of a conversation are ordered; of those that have the same,
    `_id` decides. To be written, they are ordered by `_id` alone."""
    fields: frozenset[str]
    """All fields that a document has, beside `_id`; what others hold stays there."""
    beside: str = ""
    """The collection beside it with a document for each conversation, where there is one: it has
    the id in the field of the same name, and without it this is another layout's."""
    live: Callable[[JSONObject | None], JSONObject] | None = None
    """From the conversation's document beside: the filter of the records that are not deleted."""
    single: bool = True
    """Whether each document is exactly one message or unreadable."""
    unfold: Callable[[JSONObject], Sequence[Message | Unreadable]]
    """The messages of a document, perhaps none; ValueError says why it cannot be read. What of
    several cannot be read stands in its place."""
    holds: Holds
    """What a message and a conversation have there."""
    fold: Callable[[str, Message], JSONObject] | None = None
    """The document, without `_id`, of a message of that conversation; None where the layout is
    only read."""
    refusal: Callable[[Message], str | None] | None = None
    """Why the framework's own reader would refuse or change that message, or None."""
    indexes: Sequence[str] = ()
    """The fields on each of which the framework makes an index."""


class Gathered(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation that is a document of its own, or lies in several collections."""

    collection: str
    """The collection with a document for each conversation; its users may call it otherwise, where
    there is no other beside it."""
    database: str
    """What the framework calls the database; its users may call it otherwise."""
    version: str = ""
    """Which of the layout's kinds or versions it is, for a person; empty where there is one."""
    tells: Callable[[JSONObject], bool]
    """Whether a document is one of these; one of the first twenty must be."""
    conversation: str
    """The field of the conversation's id: text, or an ObjectId."""
    beside: Mapping[str, str] = {}
    """Other collections, and the field of each that has the conversation's id; what has one that no
    conversation has is a stray."""
    unfold: Callable[[str, Mapping[str, Sequence[JSONObject]]], Told]
    """What the conversation of that id says, from its documents in each collection, by the names
    that these have here, ordered by `_id`; ValueError where nothing of it can be read."""
    holds: Holds
    """What a message and a conversation have there."""


# --- DynamoDB -------------------------------------------------------------------------------


class Items(msgspec.Struct, frozen=True, kw_only=True):
    """An item for each conversation, with its messages in a list."""

    key: str
    """What the framework calls the partition key; the table's own counts."""
    messages: str
    """What the framework calls the attribute that is the list; `attribute` in a profile names
    another."""
    version: str = ""
    """Which of the layout's kinds or versions it is, for a person; empty where there is one."""
    tells: Callable[[Any], bool]
    """Whether an element of the list is a record of this layout."""
    unfold: Callable[[Any], Sequence[Message]]
    """The messages of an element, perhaps none; ValueError says why it cannot be read. It is JSON,
    but for bytes; where it is written, it is one message."""
    holds: Holds
    """What a message and a conversation have there."""
    fold: Callable[[Message], Any] | None = None
    """The element for a message that is not refused; None where the layout is only read."""
    refusal: Callable[[Message], str | None] | None = None
    """Why the framework's own reader would refuse or change that message, or None."""
    expiry: str = ""
    """The attribute of the time, in seconds since 1970, after which the item may be removed."""


# --- files ----------------------------------------------------------------------------------
#
# A place of files is a folder, an archive, or one file. Their names are relative to it, with `/`
# between folders; of one file alone it is the file's own name.


class Value(NamedTuple):
    """A value in an export, which tells a conversation, or several."""

    said: Any
    """What stands there, as JSON."""
    key: str = ""
    """Of a member of an object its key."""
    beside: Mapping[str, str] = {}
    """The files that lie beside it and values speak of, by what they call them: see
    `Export.beside`."""


class Export(msgspec.Struct, frozen=True, kw_only=True):
    """A JSON file in which values stand that each tell a conversation, or several: it may be larger
    than memory. In a folder or an archive there may be several such files."""

    names: str
    """What such a file is called in a folder or an archive: a regular expression of the last part
    of its name. A file that is named by itself may be called otherwise."""
    at: tuple[str, ...] = ()
    """The keys, from the top, that lead to the array of these values; where an object stands there,
    they are its members."""
    version: str = ""
    """Which of the layout's kinds or versions it is, for a person; empty where there is one."""
    misses: Callable[[Head], str | None]
    """What a file that begins so lacks to be one: nothing (empty), or that which is named; None
    where it is not even like one."""
    beside: Callable[[str], str | None] | None = None
    """Of a file that lies in the same folder, or below it, by its name from there: what values call
    it, or None where they do not speak of it. None where they speak of no files."""
    unfold: Callable[[Value], Mapping[str, Told]]
    """The conversations of a value, by their ids; ValueError where nothing of it can be read."""
    holds: Holds
    """What a message and a conversation have there."""


class Files(NamedTuple):
    """Files that are read together."""

    name: str
    """What they are known by: see `Folder.group`."""
    data: Mapping[str, bytes]
    """What each holds, by its name, in the order in which `group` names them. One that was removed
    meanwhile is not there, and a live one may end in the middle of a line."""


class Folder(msgspec.Struct, frozen=True, kw_only=True):
    """Files of which each conversation has one, or several; or one holds several conversations."""

    version: str = ""
    """Which of the layout's kinds or versions it is, for a person; empty where there is one."""
    group: Callable[[Sequence[str]], Mapping[str, Sequence[str]]]
    """From the names of all files, sorted: which are read together, by what they are known by (the
    name of one of them, or of a folder), the one first by whose beginning they are known. The files
    of a conversation are in one such group; those that tell nothing are in none."""
    misses: Callable[[Head], str | None]
    """What the first file of a group, which begins so, lacks to be one of this layout: nothing
    (empty), or that which is named; None where it is not even like one."""
    distinct: bool = False
    """Whether names alone tell these files from others, so that one which is not even like one is
    named, and not passed over."""
    unfold: Callable[[Files], Mapping[str, Told]]
    """The conversations that files tell together, by their ids; ValueError where nothing of them
    can be read."""
    holds: Holds
    """What a message and a conversation have there."""


Shape = Rows | Whole | Lists | Keys | Documents | Gathered | Items | Export | Folder
