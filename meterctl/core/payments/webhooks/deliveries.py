"""Read delivered webhook events one by one, and put them aside until the run knows which to keep."""

import base64
import binascii
import json
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from typing import IO, Any, NamedTuple, TypeVar

from meterctl.core.errors import BadInput
from meterctl.core.files.json_items import JsonItem, JsonItems
from meterctl.core.files.json_text import NO_JSON
from meterctl.core.files.raw_lines import MAX_LINE

T = TypeVar("T")

_HINT = "pass events as Stripe delivered them"


class Delivery(NamedTuple):
    """A delivered event: the ``body``, byte for byte, and its ``Stripe-Signature`` header if recorded.

    ``value`` is the body as JSON if it is parsed already. ``in_envelope``: the recording has a field for the signature.
    ``problem`` marks an unreadable one; ``raw`` holds the bytes if they are not UTF-8.
    """

    line: int
    body: str
    signature: str | None = None
    value: Any = None
    in_envelope: bool = False
    problem: BadInput | None = None
    raw: bytes | None = None


# -- reading


def deliveries(file: IO[bytes], signature: str | None = None) -> Iterator[Delivery]:
    """Yield the deliveries in ``file``; ``signature`` signs the file as a whole.

    The file may hold events, envelopes ``{"payload": <the body as text>, "signature": <the header>}`` (or ``body`` for
    ``payload``, ``headers`` for ``signature``), lists as the API prints them, and the envelopes of EventBridge and
    Event Grid. A delivery that cannot be read has a ``problem``. Raises `BadInput` for a truncated file.
    """
    if signature is not None:
        yield _whole(file, signature)
        return
    for document in JsonItems(file, _HINT):
        for item in _split_list(document):
            yield _open_envelope(item)


def _whole(file: IO[bytes], signature: str) -> Delivery:
    body = file.read(MAX_LINE + 1)
    if len(body) > MAX_LINE:
        raise BadInput(
            f"the file is longer than {MAX_LINE:,} bytes, the most for one event", hint=_HINT, code="bad_file"
        )
    try:
        return Delivery(1, body.decode(), signature)
    except UnicodeDecodeError:
        raise BadInput("the file is not UTF-8", hint=_HINT, code="bad_file") from None


def _split_list(item: JsonItem) -> Iterator[JsonItem]:
    """Yield the events of a list as the API prints it, or the value itself."""
    value = item.value
    if isinstance(value, dict) and value.get("object") == "list" and isinstance(value.get("data"), list):
        for number, event in enumerate(value["data"], 1):
            yield JsonItem(number if item.line == 1 else item.line, json.dumps(event), event)
    else:
        yield item


def _open_envelope(item: JsonItem) -> Delivery:
    """Return the delivery in a value, without its envelope."""
    line, value = item.line, item.value
    if item.problem is not None:
        return Delivery(line, item.text, problem=item.problem, raw=item.raw)
    if not isinstance(value, dict):
        return Delivery(line, item.text, value=value)
    if "delivery" in value or "delivery_base64" in value:
        return _from_pending(line, value)
    if "payload" in value or ("body" in value and ("headers" in value or "signature" in value)):
        return _from_request(line, value)
    inner = _from_broker(value)
    body = item.text if inner is None else json.dumps(inner)
    return _checked_length(Delivery(line, body, value=value if inner is None else inner))


def _from_request(line: int, envelope: Mapping[str, Any]) -> Delivery:
    """Return the delivery in a web server's recording of a request: its body and headers."""
    payload = envelope["payload"] if "payload" in envelope else envelope["body"]
    body = payload if isinstance(payload, str) else json.dumps(payload)
    signature = envelope.get("signature") or _header(envelope.get("headers"))
    signature = signature if isinstance(signature, str) and signature.strip() else None
    delivery = Delivery(line, body, signature, in_envelope=True)
    if envelope.get("isBase64Encoded") is True:
        delivery = _from_base64(delivery, body)
    return _checked_length(delivery)


def _header(headers: Any) -> Any:
    """Return the ``Stripe-Signature`` from an object or a list of pairs; a value may be a list of one."""
    pairs = list(headers.items()) if isinstance(headers, dict) else headers if isinstance(headers, list) else []
    for pair in pairs:
        if isinstance(pair, list | tuple) and len(pair) == 2 and str(pair[0]).lower() == "stripe-signature":
            value = pair[1]
            return value[0] if isinstance(value, list) and value else value
    return None


def _from_broker(value: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the event in an envelope of EventBridge (``detail``) or CloudEvents (``data``), or None."""
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
    problem = BadInput(f"the event is longer than {MAX_LINE:,} bytes", hint=_HINT, code="line_too_long")
    return Delivery(delivery.line, "", problem=problem)


# -- putting aside


class Source(NamedTuple):
    """The place of a delivery put aside, with its line number and event id."""

    line: int
    event: str
    place: int
    aside: "PutAside"


class PutAside:
    """Deliveries in a scratch ``file``, in a form that `deliveries` can read again."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._size = 0

    def put(self, delivery: Delivery, event: str = "") -> Source:
        """Append a delivery; return its place."""
        place = self._size
        self._size += self._file.write(f"{delivery_line(delivery)}\n".encode())
        return Source(delivery.line, event, place, self)

    def line(self, place: int) -> bytes:
        """Return the line at a place, with its end."""
        self._file.seek(place)
        line = self._file.readline()
        self._file.seek(self._size)
        return line


def delivery_line(delivery: Delivery, **why: str | None) -> str:
    """Return a delivery as a line that `deliveries` can read again, with the reasons ``why`` it is kept."""
    if delivery.raw is not None:
        record: dict[str, Any] = {"delivery_base64": base64.b64encode(delivery.raw).decode()}
    elif delivery.in_envelope or delivery.signature:
        record = {"payload": delivery.body, "signature": delivery.signature}  # a missing signature stays missing
    else:
        record = {"delivery": delivery.body}
    return json.dumps(record | why)


def _from_pending(line: int, value: Mapping[str, Any]) -> Delivery:
    if "delivery_base64" in value:
        return _from_base64(Delivery(line, ""), value["delivery_base64"])
    body = value["delivery"]
    return _checked_length(Delivery(line, body if isinstance(body, str) else json.dumps(body)))


def lines(sources: Iterable[Source]) -> Iterator[str]:
    """Yield the lines of a file that holds each of these deliveries once."""
    return (line.decode() for line, _ in _distinct((source, None) for source in sources))


class Rejection(NamedTuple):
    """A refused delivery, with the code and message of the refusal."""

    source: Source
    reason: str | None
    message: str


def rejected_lines(rejections: Iterable[Rejection]) -> Iterator[str]:
    """Yield the lines of a file that holds each refused delivery once, with the reason."""
    for line, rejection in _distinct((rejection.source, rejection) for rejection in rejections):
        yield json.dumps(json.loads(line) | {"reason": rejection.reason, "message": rejection.message})


def _distinct(sources: Iterable[tuple[Source, T]]) -> Iterator[tuple[bytes, T]]:
    """Yield the line of each source with the value beside it; of equal lines only the first."""
    digests: set[bytes] = set()
    for source, value in sources:
        line = source.aside.line(source.place)
        if (digest := sha256(line).digest()) not in digests:
            digests.add(digest)
            yield line, value


def parse_body(delivery: Delivery) -> Any:
    """Return the body of a delivery as JSON. Raises `BadInput`."""
    if delivery.problem is not None:
        raise delivery.problem
    if delivery.value is not None:
        return delivery.value
    try:
        return json.loads(delivery.body)
    except NO_JSON as problem:
        raise BadInput(f"not valid JSON: {problem}", hint=_HINT, code="bad_json") from None
