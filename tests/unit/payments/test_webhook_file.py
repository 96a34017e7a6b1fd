"""Files of webhook events: whatever their form, read one by one, and put aside."""

import io
import json
import tracemalloc
from typing import IO, Any

import pytest

from meterctl.core.errors import BadInput
from meterctl.core.files.operation_lines import MAX_LINE
from meterctl.core.payments.webhook_file import Delivery, PutAside, deliveries, lines

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


@pytest.mark.parametrize("text", ["[1]\n[2]", "[1,]", "[1", "[1]]", "[1 2]", "[1]\n\n\nx", "[{]", "[" * 9, "[1],"])
def test_what_is_no_array_as_a_whole_is_read_by_lines(text: str) -> None:
    assert [(found.line, found.body) for found in read(text)] == [
        (number, line) for number, line in enumerate(text.split("\n"), 1) if line
    ]


def test_one_event_may_stand_on_many_lines() -> None:
    assert numbered(json.dumps(EVENTS[1], indent=2)) == [(1, EVENTS[1])]


@pytest.mark.parametrize("signature", [None, "t=1"])
def test_a_file_is_read_from_where_it_stands(signature: str | None) -> None:
    file = io.BytesIO(b"gone\n" + json.dumps(EVENTS[0]).encode())
    file.readline()
    assert [json.loads(found.body) for found in deliveries(file, signature)] == [EVENTS[0]]


@pytest.mark.parametrize("signature", [None, "t=1"])
@pytest.mark.parametrize("bad", [b"\xff\xfe", b"{}\n\xff", b'["\xff"]', b"x" * (MAX_LINE + 1)])
def test_a_file_of_no_use_as_a_whole_is_told(bad: bytes, signature: str | None) -> None:
    with pytest.raises(BadInput) as caught:
        list(deliveries(io.BytesIO(bad), signature))
    assert (caught.value.code, bool(caught.value.hint)) == ("bad_file", True)


def test_an_array_that_is_too_long_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meterctl.core.payments.webhook_file.MAX_DOCUMENT", 2 * MAX_LINE)
    fits = json.dumps(["x" * (2 * MAX_LINE - 4)])
    assert len(read(fits)) == 1
    with pytest.raises(BadInput, match=f"line 1: the line is longer than {MAX_LINE} bytes"):
        read(f"{fits} ")


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
    assert [delivery[1:] for delivery in read("".join(lines([*first, first[0]])))] == [found[1:] for found in given[:2]]
    last = aside.put(Delivery(4, "{}"))
    assert [delivery.body for delivery in read("".join(lines([last, first[1]])))] == ["{}", "["]
