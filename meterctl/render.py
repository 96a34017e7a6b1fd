"""Render a typed result as a table, JSON, NDJSON, CSV, Markdown, plain text or HTML.

Scripts get the document or its records, by the standard library alone. People get blocks (`meterctl.views`), drawn by
rich, tabulate or Jinja, which are loaded only then. Records are streamed: a million need no more memory than one.
"""

import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, TextIO

from meterctl.core.domain.pattern import lazy_pattern
from meterctl.core.results import Result
from meterctl.views.safety import speaks_unicode, visible, visible_line

__all__ = ["show", "visible", "write"]


def show(result: Result, stream: TextIO) -> None:
    """Show ``result`` to a person."""
    write(result, "table", stream)


def write(result: Result, output: str, stream: TextIO) -> None:
    """Write ``result`` to ``stream`` as ``output``, one of `options.FORMATS` or html."""
    if isinstance(stream, io.TextIOWrapper):
        # Printing must not fail after a booking, so characters outside the encoding become escapes.
        stream.reconfigure(errors="backslashreplace")
    _WRITERS[output](result, stream)
    stream.flush()


# -- JSON


def _write_json(result: Result, stream: TextIO) -> None:
    """Write the whole document on one line, or indented on a terminal."""
    spacing: dict[str, Any] = {"indent": 2} if stream.isatty() else {"separators": (",", ":")}
    stream.write(_printable(_encoder(stream, **spacing).encode(result.document())) + "\n")


def _write_ndjson(result: Result, stream: TextIO) -> None:
    encode = _encoder(stream, separators=(",", ":")).encode
    stream.writelines(_printable(encode(record)) + "\n" for record in _records(result, stream))


def _encoder(stream: TextIO, **spacing: Any) -> json.JSONEncoder:
    """Return an encoder whose texts ``stream`` can carry."""
    unicode = speaks_unicode(stream.encoding)
    return json.JSONEncoder(ensure_ascii=not unicode, allow_nan=False, default=_as_json, **spacing)


def _printable(text: str) -> str:
    """Return a JSON text with invisible characters escaped; its own line ends stay."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)


def _as_json(value: object) -> object:
    return dict(value) if isinstance(value, Mapping) else str(value)


def _records(result: Result, stream: TextIO) -> Iterator[Mapping[str, Any]]:
    """Yield the result's records, and flush each one of a live result, which pauses between them."""
    live = getattr(result, "live", False)
    for record in result.rows():
        yield record
        if live:
            stream.flush()


# -- CSV

#: The columns of records that differ in their fields, or that may be missing altogether.
_COLUMNS: dict[str, tuple[str, ...]] = {
    "ledger-chart": ("at", "seq", "balance", "pending", "low", "high"),
    "history": (
        *("key", "cycle", "plan", "version", "quota", "used", "uncovered", "breakdown", "alerts"),
        *("settled", "closed_at", "seq"),
    ),
    "alerts": (
        *("org", "kind", "week", "cycle", "percent", "used", "quota", "below", "balance"),
        *("at", "recorded_at", "seq"),
    ),
    "lots": (
        *("id", "state", "kind", "remaining", "expires_at", "extended", "priority", "paid", "pack", "session"),
        *("opened_at", "units", "debt", "used", "clawed", "expired", "forfeited", "voided"),
    ),
}

#: The columns of empty lists; other lists take them from their first record.
_COLUMNS_OF_NONE: dict[str, tuple[str, ...]] = {
    "orgs": (
        *("org", "balance", "available", "allowed", "held", "owed", "overage", "debt_since", "lots", "next_expiry"),
        *("expiring_units", "plan", "quota", "used", "pace", "runs_out", "last_at", "seq", "checked"),
    ),
    "locks": ("name", "holder", "acquired_at", "expires_at", "expired"),
    "plans": (
        "plan",
        "version",
        "weekly_quota",
        "ratios",
        "effective_from",
        "published_at",
        "actor",
        "reason",
        "rollover_max",
        "rollover_weeks",
    ),
}

_NUMBER = lazy_pattern(r"[+-]?[0-9]+(\.[0-9]+)?")

#: The first characters of a text that a spreadsheet would run as a formula.
#: The wide forms count too: a spreadsheet that is set to Japanese or Chinese runs them.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def _write_csv(result: Result, stream: TextIO) -> None:
    """Write a header, then a record a line.

    Nested values are canonical JSON. Line ends and control characters in a text become escapes, and a leading
    apostrophe quotes a text that a spreadsheet would run."""
    import csv

    records = _records(result, stream)
    columns = _COLUMNS.get(result.name)
    if result.name == "ledger":
        from meterctl.views import flat_entries

        columns, records = flat_entries.COLUMNS, map(flat_entries.flat_entry, records)
    if columns is None:
        first = list(islice(records, 1))
        columns = tuple(first[0]) if first else _COLUMNS_OF_NONE.get(result.name, ())
        records = chain(first, records)
    out = csv.writer(stream, lineterminator="\n")
    if columns:
        out.writerow([_csv_cell(name) for name in columns])
    for record in records:
        out.writerow(_csv_row(record, columns))


def _csv_row(record: Mapping[str, Any], columns: Sequence[str]) -> list[str]:
    row = [_csv_cell(record.get(name)) for name in columns]
    others = {name: value for name, value in record.items() if name not in columns}
    if others:
        raise ValueError(f"records of one list differ in their fields: {', '.join(others)}")
    return row


def _csv_cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        is_formula = value.startswith(_FORMULA) and not _NUMBER.fullmatch(value)
        return visible_line(f"'{value}" if is_formula else value)
    return _printable(_canonical(value))


_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_as_json).encode


# -- for people


def _write_table(result: Result, stream: TextIO) -> None:
    from meterctl.views.registry import blocks_of
    from meterctl.views.terminal import draw

    draw(blocks_of(result), stream)


def _write_markdown(result: Result, stream: TextIO) -> None:
    from meterctl.views.paste import paste
    from meterctl.views.registry import blocks_of

    paste(blocks_of(result), stream, "markdown")


def _write_plain(result: Result, stream: TextIO) -> None:
    from meterctl.views.paste import paste
    from meterctl.views.registry import blocks_of

    paste(blocks_of(result), stream, "plain")


def _write_html(result: Result, stream: TextIO) -> None:
    from meterctl.views.page import write_page
    from meterctl.views.registry import blocks_of

    write_page(blocks_of(result), stream)


_WRITERS: dict[str, Callable[[Result, TextIO], None]] = {
    "table": _write_table,
    "json": _write_json,
    "ndjson": _write_ndjson,
    "csv": _write_csv,
    "markdown": _write_markdown,
    "plain": _write_plain,
    "html": _write_html,
}
