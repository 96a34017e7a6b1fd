"""Files of webhook events: whatever their form, read one by one, and put aside."""

import io
import json
import tracemalloc
from typing import IO, Any

import pytest

from meterctl.core.errors import BadInput
from meterctl.core.files.json_items import MAX_DOCUMENT
from meterctl.core.files.raw_lines import MAX_LINE
from meterctl.core.payments.webhooks.deliveries import Delivery, PutAside, deliveries, delivery_line, lines

EVENTS = [{"id": f"evt_{number}", "object": {"note": "å" * number}} for number in range(3)]


def read(content: str | bytes) -> list[Delivery]:
    return list(deliveries(io.BytesIO(content.encode() if isinstance(content, str) else content)))


def numbered(content: str | bytes) -> list[tuple[int, Any]]:
    return [(delivery.line, json.loads(delivery.body)) for delivery in read(content)]


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("ascii_only", [True, False])
def test_an_array_is_read_item_by_item(indent: int | None, ascii_only: bool) -> None:
    text = json.dumps(EVENTS, indent=indent, ensure_ascii=ascii_only)
    assert numbered(f"\n {text} \n") == list(enumerate(EVENTS, 1))


@pytest.mark.parametrize("text", ["[]", " [ ]\n", "[12, 345]", "[[], {}]"])
def test_whatever_an_array_holds_is_handed_on(text: str) -> None:
    assert [item for _, item in numbered(text)] == json.loads(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[1]\n[2]", [1, 2]),
        ("[1,]", [1]),
        ("[1", [1, "bad_json"]),
        ("[1]]", [1, "bad_json"]),
        ("[1]\n\n\nx", [1, "bad_json"]),
        ('[{"a": 1}, {bad}, {"c": 2}]', [{"a": 1}, "bad_json", {"c": 2}]),
        ('[\n{"a": 1},\n{"b":\n{"c": 2}\n]', [{"a": 1}, "bad_json", {"c": 2}]),
        ("[" * 100_000, ["bad_json"]),
        ('{"a": 1}{"b": 2} {"c": 3}', [{"a": 1}, {"b": 2}, {"c": 3}]),
        ('{\n "a": 1\n}{\n "b": "}"\n}\n{"c": 3}', [{"a": 1}, {"b": "}"}, {"c": 3}]),
        ('{"a": 1,\n{"b": 2}', ["bad_json", {"b": 2}]),
        ('{"a": "x\n{"b": 2}', ["bad_json", {"b": 2}]),
        (b'\xff\n{"b": 2}', ["bad_encoding", {"b": 2}]),
        (b'{"a": "\xff"}\n{"b": 2}', ["bad_encoding", {"b": 2}]),
        (b'\xef\xbb\xbf{"b": 2}', [{"b": 2}]),
        (b"x" * (MAX_DOCUMENT + 1) + b'\n{"b": 2}', ["line_too_long", {"b": 2}]),
        ('{"a": "' + "x" * MAX_LINE + '"}\n{"b": 2}', ["line_too_long", {"b": 2}]),
        ("{\n" + f'"a": "{"x" * 999}",\n' * (MAX_DOCUMENT // 999) + '"b": 1}\n{"b": 2}', ["line_too_long", {"b": 2}]),
    ],
)
def test_a_bad_delivery_costs_itself_only(text: str | bytes, expected: list[Any]) -> None:
    read_as = [found.problem.code if found.problem else json.loads(found.body) for found in read(text)]
    assert read_as == expected


def test_a_list_of_the_api_and_forwarded_events_are_opened() -> None:
    listed = {"object": "list", "data": EVENTS, "has_more": False}
    bridge = {"version": "0", "detail-type": "x", "source": "aws.partner/stripe.com/ed_1", "detail": EVENTS[1]}
    cloud = {"specversion": "1.0", "type": "x", "source": "s", "data": EVENTS[2]}
    for given, expected in ((listed, EVENTS), (bridge, [EVENTS[1]]), ([cloud, bridge], [EVENTS[2], EVENTS[1]])):
        for indent in (None, 2):
            assert [item for _, item in numbered(json.dumps(given, indent=indent))] == expected


@pytest.mark.parametrize(
    ("envelope", "signature"),
    [
        ({"payload": "{}", "signature": "t=1"}, "t=1"),
        ({"payload": "{}", "headers": {"stripe-signature": ["t=1"]}}, "t=1"),
        ({"payload": "{}", "headers": [["Host", "x"], ["Stripe-Signature", "t=1"]]}, "t=1"),
        ({"body": "e30=", "isBase64Encoded": True, "headers": {"Stripe-Signature": "t=1"}}, "t=1"),
        ({"payload": "{}", "signature": None}, None),
        ({"payload": "{}", "signature": ""}, None),
        ({"payload": "{}", "signature": 7}, None),
        ({"payload": "{}"}, None),
        ({"payload": "{}", "headers": {"host": "x"}}, None),
        ({"payload": {}, "headers": None}, None),
    ],
)
def test_an_envelope_says_its_signature_or_lacks_it(envelope: dict[str, Any], signature: str | None) -> None:
    [delivery] = read(json.dumps(envelope))
    assert (delivery.body, delivery.signature, delivery.in_envelope, delivery.problem) == ("{}", signature, True, None)


def test_one_event_may_stand_on_many_lines() -> None:
    assert numbered(json.dumps(EVENTS[1], indent=2)) == [(1, EVENTS[1])]


@pytest.mark.parametrize("signature", [None, "t=1"])
def test_a_file_is_read_from_where_it_stands(signature: str | None) -> None:
    file = io.BytesIO(b"gone\n" + json.dumps(EVENTS[0]).encode())
    file.readline()
    assert [json.loads(found.body) for found in deliveries(file, signature)] == [EVENTS[0]]


@pytest.mark.parametrize("bad", [b"\xff\xfe", b"{}\n\xff", b'["\xff"]', b"x" * (MAX_LINE + 1)])
def test_a_signed_body_of_no_use_is_told(bad: bytes) -> None:
    with pytest.raises(BadInput) as caught:
        list(deliveries(io.BytesIO(bad), "t=1"))
    assert (caught.value.code, bool(caught.value.hint)) == ("bad_file", True)


def test_a_file_in_another_encoding_is_told() -> None:
    with pytest.raises(BadInput, match="not UTF-8"):
        read(json.dumps(EVENTS).encode("utf-16"))


class Written(io.RawIOBase):
    """A file of many events that is made as it is read."""

    SIZE = 4096

    def __init__(self, count: int) -> None:
        self._count, self._at = count, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, place: int, whence: int = io.SEEK_SET) -> int:
        self._at = place if whence == io.SEEK_SET else self._at + place
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        number, start = divmod(self._at, self.SIZE)
        if number == self._count:
            return 0
        body = json.dumps({"payload": "x" * (self.SIZE - 16)})
        part = f"{body}\n".encode()[start : start + len(buffer)]
        buffer[: len(part)] = part
        self._at += len(part)
        return len(part)


def test_memory_does_not_grow_with_the_file() -> None:
    def peak(count: int) -> int:
        tracemalloc.start()
        file: IO[bytes] = io.BufferedReader(Written(count))
        assert sum(1 for _ in deliveries(file)) == count
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    assert peak(4000) < peak(1000) + 100_000


def test_what_is_put_aside_comes_back_once_each() -> None:
    aside = PutAside(io.BytesIO())
    odd = '{"a": "\u2028\ud800"}'
    given = [Delivery(1, odd, "t=1"), Delivery(2, "[", None), Delivery(3, odd, "t=1")]
    first = [aside.put(delivery, "evt_1") for delivery in given]
    assert [(source.line, source.event) for source in first] == [(1, "evt_1"), (2, "evt_1"), (3, "evt_1")]
    again = read("".join(lines([*first, first[0]])))
    assert [(found.body, found.signature) for found in again] == [(found.body, found.signature) for found in given[:2]]
    last = aside.put(Delivery(4, "{}"))
    assert [delivery.body for delivery in read("".join(lines([last, first[1]])))] == ["{}", "["]


@pytest.mark.parametrize(
    "text", [b'{"a": "\xff"}', b'{"payload": "{}", "signature": null}', b'{"payload": "{}", "signature": "t=1"}', b"{"]
)
def test_what_is_kept_is_no_better_when_it_is_read_again(text: bytes) -> None:
    [first] = read(text)
    [again] = read(delivery_line(first, reason="x", message="y"))
    assert (again.body, again.signature, again.in_envelope) == (first.body, first.signature, first.in_envelope)
    assert again.raw == first.raw
