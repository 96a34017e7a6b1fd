"""Webhook events as they were delivered: read one by one, and put aside until it is known which have to be kept."""

import json
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import IO, Any, NamedTuple

from meterctl.core.errors import BadInput
from meterctl.core.files.operation_lines import MAX_LINE, raw_lines

#: Bytes that a file may have that is one document: it is held as a whole. A line each is read one by one.
MAX_DOCUMENT = 16 * MAX_LINE

#: What text that is no JSON, or is nested too deeply to be read, raises.
NO_JSON = (ValueError, RecursionError)


class Delivery(NamedTuple):
    """An event as it was delivered: the body, byte for byte, and its ``Stripe-Signature`` header if that was kept."""

    line: int
    body: str
    signature: str | None = None


# -- reading


def deliveries(file: IO[bytes], signature: str | None = None) -> Iterator[Delivery]:
    """The deliveries in ``file``: one event or an array of them as JSON, or one a line. Each is an event, or
    ``{"payload": <the body as text>, "signature": <the header>}``. ``signature`` signs the file as a whole.

    The file can be sought in. One with an event a line is read as it is needed: memory is that of an event. Raises
    `BadInput` where it is of no use as a whole, be that found in the middle of it.
    """
    try:
        if signature is not None:
            yield Delivery(1, _whole(file).decode(), signature)
            return
        for number, body in _bodies(file):
            yield _opened(Delivery(number, body))
    except UnicodeDecodeError:
        raise BadInput("it is not UTF-8", hint=_HINT, code="bad_file") from None


_HINT = "give events as Stripe delivered them"


def _whole(file: IO[bytes]) -> bytes:
    body = file.read(MAX_LINE + 1)
    if len(body) > MAX_LINE:
        raise BadInput(f"it is longer than {MAX_LINE} bytes", hint=_HINT, code="bad_file")
    return body


def _bodies(file: IO[bytes]) -> Iterator[tuple[int, str]]:
    start = file.tell()
    first = next(raw_lines(file), None)
    file.seek(start)
    if first is not None and isinstance(_parsed(first[1]), dict):
        yield from _lines(file)  # it would be no object if it were only the beginning of one
        return
    text = file.read(MAX_DOCUMENT + 1)
    document = _parsed(text) if len(text) <= MAX_DOCUMENT else None
    if isinstance(document, list):
        yield from enumerate(map(json.dumps, document), 1)
    elif document is not None:
        yield 1, text.decode()
    else:
        file.seek(start)
        yield from _lines(file)


def _lines(file: IO[bytes]) -> Iterator[tuple[int, str]]:
    for number, line, problem in raw_lines(file):
        if problem is not None:
            raise BadInput(f"line {number}: {problem.message}", hint=_HINT, code="bad_file")
        yield number, line.decode().removesuffix("\n")


def _parsed(text: bytes) -> Any:
    """What ``text`` is as JSON; None if it is none."""
    try:
        return json.loads(text.decode())
    except NO_JSON:
        return None


def _opened(delivery: Delivery) -> Delivery:
    """The delivery inside of an envelope, if it is one."""
    try:
        item = json.loads(delivery.body)
        if not isinstance(item, dict) or "payload" not in item:
            return delivery
        payload = item["payload"] if isinstance(item["payload"], str) else json.dumps(item["payload"])
    except NO_JSON:
        return delivery  # which cannot be read as an event either
    headers = item.get("headers")
    named = {name.lower(): value for name, value in headers.items()} if isinstance(headers, dict) else {}
    return Delivery(delivery.line, payload, item.get("signature") or named.get("stripe-signature"))


# -- putting aside


class Source(NamedTuple):
    """A delivery that was put aside: the number of its line, and the event's id."""

    line: int
    event: str
    place: int
    aside: "PutAside"


class PutAside:
    """Deliveries in a ``file`` of no other use, in the form in which `deliveries` reads them again."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._size = 0

    def put(self, delivery: Delivery, event: str = "") -> Source:
        place = self._size
        self._size += self._file.write(_line(delivery))
        return Source(delivery.line, event, place, self)

    def line(self, place: int) -> bytes:
        self._file.seek(place)
        line = self._file.readline()
        self._file.seek(self._size)
        return line


def _line(delivery: Delivery) -> bytes:
    kept = {"payload": delivery.body, "signature": delivery.signature}
    return json.dumps(kept).encode() + b"\n"


def lines(sources: Iterable[Source]) -> Iterator[str]:
    """The lines of a file that holds each of these deliveries once."""
    seen: set[bytes] = set()
    for source in sources:
        line = source.aside.line(source.place)
        if (digest := sha256(line).digest()) not in seen:
            seen.add(digest)
            yield line.decode()
