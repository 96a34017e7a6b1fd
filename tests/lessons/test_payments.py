"""Lessons about payments: webhooks that nobody signed, files used twice at once, and credits taken back."""

import gzip
import io
import json
import threading
import time
import tracemalloc
from pathlib import Path
from typing import IO, Any, cast

import pytest

from meterctl.core.files.atomic import Aside
from meterctl.core.files.locked import locked
from meterctl.core.payments.event_counts import MOST_PROBLEMS, Events
from meterctl.core.payments.shop import Shop
from meterctl.core.payments.stripe_gateway import verify
from meterctl.core.payments.webhook_feed import Feed
from meterctl.core.payments.webhook_intake import Intake, Trust
from meterctl.core.payments.webhooks import Booking, Settler
from tests.desk import PACKS, Desk
from tests.stripe_server import WEBHOOK_SECRET, StandIn, seconds, signature_of

T0 = seconds("2026-11-10T10:00:00Z")

SHOP = Shop(packs=PACKS)

SIGNED = Trust(lambda body, header: verify(body, header, WEBHOOK_SECRET))


def book(desk: Desk, text: str | bytes, trust: Trust = SIGNED) -> Events:
    result, feed = Events(), Feed()
    Intake(trust, SHOP, feed, result).read(io.BytesIO(text.encode() if isinstance(text, str) else text))
    Settler(desk.ledger, None, Booking("hook", shop=SHOP)).settle(feed, result)
    return result


def paid(org: str = "acme") -> dict[str, Any]:
    account = StandIn()
    account.sell(org, at=T0)
    return account.events[0]


UNSIGNED_ENVELOPES: tuple[dict[str, Any], ...] = (
    {"signature": None},
    {"signature": ""},
    {"signature": " "},
    {"signature": []},
    {"signature": 0},
    {},
    {"headers": {}},
    {"headers": None},
    {"headers": {"host": "shop.example"}},
    {"headers": {"stripe-signature": None}},
    {"headers": {"Stripe-Signature": ""}},
    {"headers": {"Stripe-Signature": []}},
    {"headers": [["Host", "shop.example"]]},
)


@pytest.mark.parametrize("envelope", UNSIGNED_ENVELOPES)
def test_l97_an_envelope_without_a_signature_is_never_booked(envelope: dict[str, Any]) -> None:
    desk = Desk()
    line = json.dumps({"payload": json.dumps(paid()), **envelope})
    for trust in (SIGNED, SIGNED._replace(unsigned=True), Trust()):
        result = book(desk, line, trust)
        assert (result.invalid, result.applied, result.exit_code) == (1, 0, 7)
        assert result.problems[0]["reason"] == "signature_missing"


def test_l97_an_event_without_a_signature_needs_a_word_where_a_secret_is_set(desk: Desk) -> None:
    for wrap in (lambda event: event, lambda event: [event], lambda event: {"object": "list", "data": [event]}):
        result = book(desk, json.dumps(wrap(paid())))
        assert (result.invalid, result.problems[0]["reason"]) == (1, "signature_missing")
    assert book(desk, json.dumps(paid()), SIGNED._replace(unsigned=True)).applied == 1
    body = json.dumps(paid())
    assert book(desk, json.dumps({"payload": body, "signature": signature_of(body)})).replayed == 1


def test_l101_what_waits_survives_two_runs_at_once(tmp_path: Path) -> None:
    path = tmp_path / "pending.ndjson"

    def add(name: str) -> None:
        for number in range(50):
            with locked(path, time.sleep), Aside(path) as aside:
                aside.file.write(path.read_text(encoding="utf-8") + f"{name}{number}\n")
                aside.keep()

    threads = [threading.Thread(target=add, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(path.read_text(encoding="utf-8").split()) == sorted(
        f"{name}{n}" for name in "abcd" for n in range(50)
    )


BAD_DELIVERIES = (
    b'{"id": "\xff"}',
    b"\xff\xfe\x00",
    b"x" * (17 * 1024 * 1024),
    b'{"id": "' + b"x" * (2 * 1024 * 1024) + b'"}',
    b'{"id": "evt_1", "type"',
    b'{"id": "evt_1", "type": "refund.cre',
    b'{"id": "evt_1"}}',
    b"{" * 100_000,
    b"null",
    b'{"type": "refund.created", "data": {"object": {"amount": {}}}}',
)


@pytest.mark.parametrize("bad", BAD_DELIVERIES)
def test_l102_a_bad_delivery_keeps_no_other_from_being_booked(bad: bytes) -> None:
    desk = Desk()
    good = [json.dumps(paid(org)).encode() for org in ("acme", "beta")]
    result = book(desk, b"\n".join([good[0], bad, good[1].replace(b"Qx00", b"Qy00")]), Trust())
    assert (result.applied, result.invalid >= 1, result.exit_code) == (2, True, 7)
    assert [desk.balance(org) for org in ("acme", "beta")] == [1000, 1000]


def test_l103_a_million_bad_lines_are_ten_problems_and_a_count() -> None:
    desk = Desk()
    good = json.dumps(paid()).encode()
    count = 2_000  # the memory of each line would show
    result = Events()
    tracemalloc.start()
    file = io.BytesIO(b'{"id": "evt_1"\n' * count + good)
    held = tracemalloc.get_traced_memory()[0]
    Intake(Trust(), SHOP, feed := Feed(), result).read(file)
    assert tracemalloc.get_traced_memory()[1] - held < 500_000
    tracemalloc.stop()
    Settler(desk.ledger, None, Booking("hook", shop=SHOP)).settle(feed, result)
    assert (result.invalid, result.applied) == (count, 1)
    assert (len(result.problems), result.more) == (MOST_PROBLEMS, count - MOST_PROBLEMS)
    assert len(json.dumps(result.document())) < 10_000


@pytest.mark.parametrize("line", [b"\n", b" "])
def test_l103_gzip_that_unpacks_to_far_more_is_read_in_bounded_memory(line: bytes) -> None:
    zipped = gzip.compress(line * (100_000_000 // len(line) if line == b" " else 200_000))
    tracemalloc.start()
    file = cast(IO[bytes], gzip.GzipFile(fileobj=io.BytesIO(zipped)))
    Intake(Trust(), SHOP, Feed(), result := Events()).read(file)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000_000
    assert len(result.problems) <= MOST_PROBLEMS
