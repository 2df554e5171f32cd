"""Which layout of another framework a DynamoDB table is of, and in which attribute of its items."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

from synmem.backends.dynamodb.calls import Client
from synmem.backends.dynamodb.table import Described, is_ours, keys_of, shown_keys
from synmem.errors import UnknownLayout, Unnamed
from synmem.layouts import naming, registry
from synmem.layouts.own.dynamodb_items import Item, Value, json_form
from synmem.layouts.registry import SAMPLE
from synmem.layouts.shapes import Items


class ItemsFit(NamedTuple):
    """A table that looks like one of a layout, and the attribute in which the messages are."""

    layout: str
    shape: Items
    attribute: str
    keys: tuple[tuple[str, str], ...]
    """The name and the type of each of its keys."""


async def find(
    client: Client,
    table: Described | None,
    layout: str | None,
    attribute: str | None,
    *,
    write: bool,
) -> ItemsFit:
    """The layout of this table, which may be still to be made; of that which is named, and in the
    attribute that is named. Unnamed where several could be meant, or one must be named."""
    shapes = dict(_shapes(layout))
    if table is None:
        name, shape = next(iter(shapes.items()))
        return ItemsFit(name, shape, attribute or shape.messages, ((shape.key, "S"),))
    keys = keys_of(table)
    items = await _sample(client)
    found = _fits(shapes, {name for name, _, _ in keys}, items, attribute)
    if not found:  # no list has any element: then it may be any of those whose names it has
        found = [
            (name, attribute or shape.messages)
            for name, shape in shapes.items()
            if layout is not None or shape.key == keys[0][0]
            if all(each.get(attribute or shape.messages) == {"L": []} for each in items)
        ]
    if not found or is_ours(table) or any(kind not in ("S", "N") for _, _, kind in keys):
        there = _fits(dict(_shapes(None)), {name for name, _, _ in keys}, items, None)
        raise _missing(client, table, shapes, items, layout, there)
    fits = [
        ItemsFit(name, shapes[name], where, tuple((key, kind) for key, _, kind in keys))
        for name, where in found
    ]
    if len(fits) > 1 or (write and layout is None and fits[0].shape.fold is not None):
        raise unnamed(client, fits)
    return fits[0]


def _shapes(layout: str | None) -> Iterator[tuple[str, Items]]:
    for name in registry.named("dynamodb"):
        for shape in registry.shapes(name, "dynamodb") if layout in (None, name) else ():
            if isinstance(shape, Items):
                yield name, shape


async def _sample(client: Client) -> list[Item]:
    answer = await client.call("scan", TableName=client.table, Limit=SAMPLE)
    found: list[Item] = answer["Items"]
    return found


def _fits(
    shapes: dict[str, Items], keys: Collection[str], items: list[Item], attribute: str | None
) -> list[tuple[str, str]]:
    """The layouts, and the attributes in which a list has an element of theirs."""
    found = [
        (layout, name)
        for layout, shape in shapes.items()
        for item in items
        for name, value in item.items()
        if "L" in value and name not in keys and attribute in (None, name)
        if any(shape.tells(_plain(element)) for element in value["L"][:SAMPLE])
    ]
    return [*dict.fromkeys(found)]


def _plain(value: Value) -> Any:
    return json_form(value, keep_bytes=True)


def _missing(
    client: Client,
    table: Described,
    shapes: dict[str, Items],
    items: list[Item],
    layout: str | None,
    there: Sequence[tuple[str, str]],
) -> UnknownLayout:
    """What is said where nothing fits, but what is `there`: layouts, and where their lists are."""
    what = "a layout that synmem knows" if layout is None else f"the layout {layout}"
    seen = {name for item in items for name in item}
    alike = [name for name, shape in shapes.items() if {shape.key, shape.messages} <= seen]
    return naming.not_there(
        f"{client.name}: a table of somebody else's shape, with no conversations in {what}: its "
        f"keys are {shown_keys(table)}, and its items have {', '.join(sorted(seen)) or 'nothing'}",
        [naming.Other(name, where, _way(name, where)) for name, where in there],
        registry.looks_like(() if there else alike),
        f"there are {', '.join(('synmem', *registry.named('dynamodb')))}",
    )


def unnamed(client: Client, fits: list[ItemsFit]) -> Unnamed:
    """What is said where none of these is named, and one must be."""
    if len(fits) == 1:
        return naming.to_be_named(client.name, "its items are", fits[0].layout)
    found = ", ".join(f"{fit.attribute} ({fit.layout})" for fit in fits)
    ways = (_way(fit.layout, fit.attribute) for fit in fits)
    why = f"its items may hold conversations in several ways: {found}"
    return naming.to_be_chosen(client.name, why, ways)


def _way(layout: str, attribute: str) -> str:
    """What chooses it, behind the URL."""
    return naming.way(layout=layout, attribute=attribute)
