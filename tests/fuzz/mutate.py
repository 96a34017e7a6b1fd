"""Breaking good input: bytes that are damaged, and documents that hold what nobody meant."""

import json
from collections.abc import Callable
from random import Random
from typing import Any

#: Texts that have broken programs before.
TEXTS = (
    "", " ", "\x00", "\x1b[2J", "\ud800", "\u202e", "\ufeff", "é", "e\u0301", "\U0001d7d9", "a/b", "../..", "=1+1",
    "-x", "--", "$ne", "%s", "{}", "null", "NaN", "0x10", "1e3", "1_000", "1,000", " 5", "+5", "-0", "\u0663",
    "9" * 30, "9" * 5000, "x" * 129, "x" * 201, "y" * 70_000, "2026-02-30", "9999-12-31T23:59:59.999Z",
    "0001-01-01T00:00:00Z", "2026-11-22T10:00:00", "2026-11-22T10:00:00+99:00", "24:00", "urn:org:9",
    "auth0|507f", "-inf", "Infinity", "0.1", "1e400", "acme", "small",
)  # fmt: skip

NUMBERS = (
    0, -1, 1, 5.0, 0.1, -0.0, 1e308, 2**31, 2**53 - 1, 2**53, 2**63, -(2**63), 10**30, 10**4000, True, False, None,
)  # fmt: skip

#: Bytes that mean something to a parser.
BYTES = tuple(b"\"'\\{}[],:;\n\r\t\0\xff\xfe\xef\x80\xc3\xe2=#.-+/")

#: Names of fields that one kind of input or another knows.
NAMES = (
    "op", "org", "units", "ref", "at", "reason", "session", "pack", "cents", "refund_id", "run", "step", "costs",
    "plan", "seq", "of", "allow_debt", "expires_at", "type", "data", "object", "id", "created", "livemode",
    "metadata", "schema", "state", "lots", "hash", "prev", "amount", "balance", "kind", "key", "input", "v",
    "sha256", "operations",
)  # fmt: skip


def value(random: Random, depth: int = 3) -> Any:
    """Return some JSON value; a deep one now and then."""
    kind = random.random()
    if kind < 0.4:
        return random.choice(TEXTS)
    if kind < 0.7 or depth == 0:
        return random.choice(NUMBERS)
    if kind < 0.72:
        return _deep(random)
    items = [value(random, depth - 1) for _ in range(random.randrange(4))]
    return items if random.random() < 0.5 else {random.choice(NAMES): item for item in items}


def _deep(random: Random) -> Any:
    nested: Any = 0
    for _ in range(random.choice((20, 90))):
        nested = [nested] if random.random() < 0.5 else {"a": nested}
    return nested


def document(random: Random, good: Any) -> Any:
    """Return ``good`` with something changed, somewhere inside it."""
    copy = json.loads(json.dumps(good))
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        where = _somewhere(random, copy)
        if not isinstance(where, dict) or not where:
            return value(random)
        name = random.choice([*where])
        change = random.random()
        if change < 0.2:
            del where[name]
        elif change < 0.3:
            where[random.choice(NAMES)] = value(random)
        elif change < 0.4:
            where[random.choice((name.upper(), f"{name} ", random.choice(NAMES)))] = where.pop(name)
        else:
            where[name] = value(random)
    return copy


def _somewhere(random: Random, whole: Any) -> Any:
    """A dictionary in ``whole``: the outermost, or one inside."""
    where = whole
    while isinstance(where, dict):
        inner = [item for item in where.values() if isinstance(item, dict) and item]
        if not inner or random.random() < 0.4:
            return where
        where = random.choice(inner)
    return where


def text_of(random: Random, content: Any) -> bytes:
    """Write ``content`` as JSON, mostly in the usual way."""
    ascii_only = random.random() < 0.7
    text = json.dumps(content, ensure_ascii=ascii_only, separators=random.choice(((",", ":"), (", ", ": "))))
    return text.encode("utf-8", errors="surrogatepass")


def damaged(random: Random, data: bytes, times: int = 1) -> bytes:
    """Return ``data`` with some bytes changed, lost, moved or doubled."""
    for _ in range(times):
        data = random.choice(_DAMAGES)(random, data)
    return data


def _place(random: Random, data: bytes) -> int:
    return random.randrange(len(data) + 1)


def _flip(random: Random, data: bytes) -> bytes:
    if not data:
        return data
    place = random.randrange(len(data))
    return data[:place] + bytes([data[place] ^ 1 << random.randrange(8)]) + data[place + 1 :]


def _insert(random: Random, data: bytes) -> bytes:
    place = _place(random, data)
    return data[:place] + bytes(random.choices(BYTES, k=random.randrange(1, 4))) + data[place:]


def _lose(random: Random, data: bytes) -> bytes:
    place = _place(random, data)
    return data[:place] + data[place + random.randrange(1, 20) :]


def _double(random: Random, data: bytes) -> bytes:
    place, end = sorted((_place(random, data), _place(random, data)))
    return data[:end] + data[place:end] + data[end:]


def _cut(random: Random, data: bytes) -> bytes:
    return data[: _place(random, data)]


def _write_over(random: Random, data: bytes) -> bytes:
    place = _place(random, data)
    new = random.choice(TEXTS[:-10]).encode("utf-8", errors="surrogatepass")
    return data[:place] + new + data[place + len(new) :]


_DAMAGES: tuple[Callable[[Random, bytes], bytes], ...] = (_flip, _insert, _lose, _double, _cut, _write_over)
