"""Show any result: scalars as pairs, lists of records as grids, nested names with dots."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import Any

from meterctl.core.results import Listing, Result
from meterctl.views import words
from meterctl.views.blocks import Block, Cell, Column, Grid, Heading, Pairs, Row, Styled

_INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z")

#: Integers that are numbers of things rather than counts.
_NUMBERS = frozenset({"seq", "id", "lot", "version", "plan_version", "cycle", "line", "check", "v"})


def show_anything(result: Result) -> Iterable[Block]:
    """Show a result that has no view of its own."""
    yield Heading(Styled(result.name, "strong"))
    if isinstance(result, Listing):
        yield from show_fields(result.about)
        yield grid_of(result.items)
    else:
        yield from show_fields(result.fields())


def show_fields(fields: Mapping[str, Any]) -> Iterable[Block]:
    """Show the fields of a document: single values first, then its lists."""
    flat = dict(_flat(fields))
    lists = {name: value for name, value in flat.items() if _is_records(value)}
    pairs = [(name, value_cell(name, value)) for name, value in flat.items() if name not in lists]
    if pairs:
        yield Pairs(pairs)
    for name, records in lists.items():
        yield grid_of(records, title=name)


def grid_of(records: Iterable[Mapping[str, Any]], *, title: str = "") -> Grid:
    """Return a grid of ``records``, which may be a stream, under the names of the first one."""
    source = iter(records)
    first = list(islice(source, 1))
    names = list(first[0]) if first else []
    # The first column identifies the record, so it always stays; the others are hidden from the right.
    columns = [
        Column(name, right=_is_count(first[0][name]), rank=place, least=12 if isinstance(first[0][name], str) else 0)
        for place, name in enumerate(names)
    ]
    rows = (Row([value_cell(name, record.get(name)) for name in names]) for record in chain(first, source))
    return Grid(columns, rows, title)


def value_cell(name: str, value: object) -> Cell:
    """Return one value as a person reads it."""
    if value is None or value in ("", [], {}):
        return Styled("-", "dim")
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return str(value) if name.rpartition(".")[2] in _NUMBERS else words.units(value)
    if isinstance(value, str):
        return words.when_utc(value) if _INSTANT.fullmatch(value) else value
    if isinstance(value, list | tuple) and not any(isinstance(item, list | tuple | Mapping) for item in value):
        return ", ".join(str(item) for item in value)
    return json.dumps(value, ensure_ascii=False, default=str)


def _flat(fields: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in fields.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def _is_records(value: object) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(item, Mapping) for item in value)


def _is_count(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
