"""Webhook events as they were delivered: read one by one, and put aside until it is known which have to be kept."""

import base64
import binascii
import json
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from typing import IO, Any, NamedTuple

from meterctl.core.errors import BadInput
from meterctl.core.files.raw_lines import MAX_LINE
from meterctl.core.payments.webhook_documents import NO_JSON, JsonItem, JsonItems

_HINT = "give events as Stripe delivered them"


class Delivery(NamedTuple):
    """An event as it was delivered: the ``body``, byte for byte, and its ``Stripe-Signature`` header if that was kept.

    ``value`` is the body as JSON where it is read already. ``enveloped``: it came in an envelope that has a place for
    the signature. ``problem``: it cannot be read; ``raw`` holds what is not UTF-8.
    """

    line: int
    body: str
    signature: str | None = None
    value: Any = None
    enveloped: bool = False
    problem: BadInput | None = None
    raw: bytes | None = None


# -- reading


def deliveries(file: IO[bytes], signature: str | None = None) -> Iterator[Delivery]:
    """The deliveries in ``file``, however they are laid out; ``signature`` signs the file as a whole.

    Taken are events, envelopes ``{"payload": <the body as text>, "signature": <the header>}`` (``headers`` in place of
    ``signature``, ``body`` in place of ``payload``), lists as the API prints them, and the envelopes of EventBridge and
    Event Grid. A delivery that cannot be read has a ``problem``. Raises `BadInput` for a file that breaks off.
    """
    if signature is not None:
        yield _whole(file, signature)
        return
    for found in JsonItems(file):
        for item in _listed(found):
            yield _opened(item)


def _whole(file: IO[bytes], signature: str) -> Delivery:
    body = file.read(MAX_LINE + 1)
    if len(body) > MAX_LINE:
        raise BadInput(f"it is longer than {MAX_LINE} bytes", hint=_HINT, code="bad_file")
    try:
        return Delivery(1, body.decode(), signature)
    except UnicodeDecodeError:
        raise BadInput("it is not UTF-8", hint=_HINT, code="bad_file") from None


def _listed(found: JsonItem) -> Iterator[JsonItem]:
    """A list of events as the API prints it, event by event; anything else as it is."""
    value = found.value
    if isinstance(value, dict) and value.get("object") == "list" and isinstance(value.get("data"), list):
        for number, item in enumerate(value["data"], 1):
            yield JsonItem(number if found.line == 1 else found.line, json.dumps(item), item)
    else:
        yield found


def _opened(found: JsonItem) -> Delivery:
    """The delivery inside of an envelope, if it is one."""
    line, value = found.line, found.value
    if found.problem is not None:
        return Delivery(line, found.text, problem=found.problem, raw=found.raw)
    if not isinstance(value, dict):
        return Delivery(line, found.text, value=value)
    if "delivery" in value or "delivery_base64" in value:
        return _kept(line, value)
    if "payload" in value or ("body" in value and "headers" in value):
        return _delivered(line, value)
    inner = _forwarded(value)
    body = found.text if inner is None else json.dumps(inner)
    return _checked_length(Delivery(line, body, value=value if inner is None else inner))


def _delivered(line: int, envelope: Mapping[str, Any]) -> Delivery:
    """What a web server kept of a request: its body and its headers."""
    payload = envelope["payload"] if "payload" in envelope else envelope["body"]
    body = payload if isinstance(payload, str) else json.dumps(payload)
    signature = envelope.get("signature") or _header(envelope.get("headers"))
    signature = signature if isinstance(signature, str) and signature.strip() else None
    delivery = Delivery(line, body, signature, enveloped=True)
    if envelope.get("isBase64Encoded") is True:
        delivery = _from_base64(delivery, body)
    return _checked_length(delivery)


def _header(headers: Any) -> Any:
    """The ``Stripe-Signature`` among headers: an object, or a list of pairs; a value may be a list of one."""
    pairs = list(headers.items()) if isinstance(headers, dict) else headers if isinstance(headers, list) else []
    for pair in pairs:
        if isinstance(pair, list | tuple) and len(pair) == 2 and str(pair[0]).lower() == "stripe-signature":
            value = pair[1]
            return value[0] if isinstance(value, list) and value else value
    return None


def _forwarded(value: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The event in an envelope of Amazon EventBridge (``detail``) or of CloudEvents (``data``); None if it is none."""
    for mark, place in (("detail-type", "detail"), ("specversion", "data")):
        inner = value.get(place)
        if mark in value and isinstance(inner, dict):
            return inner
    return None


def _from_base64(delivery: Delivery, text: Any) -> Delivery:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, TypeError, ValueError):
        problem = BadInput("its body is not base64", hint=_HINT, code="bad_encoding")
        return delivery._replace(problem=problem)
    try:
        return delivery._replace(body=raw.decode())
    except UnicodeDecodeError:
        problem = BadInput("its body is not UTF-8", hint=_HINT, code="bad_encoding")
        return delivery._replace(body="", raw=raw, problem=problem)


def _checked_length(delivery: Delivery) -> Delivery:
    if len(delivery.body) <= MAX_LINE:
        return delivery
    problem = BadInput(f"it is longer than {MAX_LINE} bytes", hint=_HINT, code="line_too_long")
    return Delivery(delivery.line, "", problem=problem)


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
        self._size += self._file.write(f"{kept_line(delivery)}\n".encode())
        return Source(delivery.line, event, place, self)

    def line(self, place: int) -> bytes:
        self._file.seek(place)
        line = self._file.readline()
        self._file.seek(self._size)
        return line


def kept_line(delivery: Delivery, **why: str | None) -> str:
    """A delivery as a line that `deliveries` reads again, with ``why`` it was kept."""
    if delivery.raw is not None:
        kept: dict[str, Any] = {"delivery_base64": base64.b64encode(delivery.raw).decode()}
    elif delivery.enveloped or delivery.signature:
        kept = {"payload": delivery.body, "signature": delivery.signature}  # one that is missing stays missing
    else:
        kept = {"delivery": delivery.body}
    return json.dumps(kept | why)


def _kept(line: int, value: Mapping[str, Any]) -> Delivery:
    if "delivery_base64" in value:
        return _from_base64(Delivery(line, ""), value["delivery_base64"])
    body = value["delivery"]
    return _checked_length(Delivery(line, body if isinstance(body, str) else json.dumps(body)))


def lines(sources: Iterable[Source]) -> Iterator[str]:
    """The lines of a file that holds each of these deliveries once."""
    seen: set[bytes] = set()
    for source in sources:
        line = source.aside.line(source.place)
        if (digest := sha256(line).digest()) not in seen:
            seen.add(digest)
            yield line.decode()


class Rejected(NamedTuple):
    """A delivery that was put aside because of a refusal, with its code and message."""

    source: Source
    reason: str | None
    message: str


def rejected_lines(rejected: Iterable[Rejected]) -> Iterator[str]:
    """The lines of a file that holds each refused delivery once, with the reason."""
    seen: set[bytes] = set()
    for source, reason, message in rejected:
        line = source.aside.line(source.place)
        if (digest := sha256(line).digest()) not in seen:
            seen.add(digest)
            yield json.dumps(json.loads(line) | {"reason": reason, "message": message})


def parsed(delivery: Delivery) -> Any:
    """The body of a delivery as JSON. Raises `BadInput`."""
    if delivery.problem is not None:
        raise delivery.problem
    if delivery.value is not None:
        return delivery.value
    try:
        return json.loads(delivery.body)
    except NO_JSON as problem:
        raise BadInput(f"it is not JSON: {problem}", hint=_HINT, code="bad_json") from None
