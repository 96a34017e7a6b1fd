"""``meterctl events``"""

import json
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Annotated

from meterctl.commands.common import argument, command, new_app, option, switch
from meterctl.core.aside import Aside, check_apart, writing
from meterctl.core.errors import BadInput
from meterctl.core.payments.events import Booking, Delivery, Events, Feed, Settler, read_all
from meterctl.wiring import Wiring

app = new_app()


@command(app, writes=True)
def events(
    wiring: Wiring,
    file: Annotated[str, argument("FILE", "Webhook events: a file, or - for standard input.")],
    signature: Annotated[
        str | None, option("--signature", "HEADER", "The Stripe-Signature of the file's one event.")
    ] = None,
    pending: Annotated[str | None, option("--pending", "FILE", "Keep there what has to wait, and retry it.")] = None,
    accept_paid: Annotated[bool, switch("--accept-paid", "Book packs for what was paid, whatever they cost.")] = False,
) -> Events:
    """Book what Stripe's webhook events tell, in any order, once each.

    Books a topup for each paid session, a refund for money that went back, a reversal for what came back of it. Events
    may come in any order and any number of times: the state is the same in the end. A refund whose pack is not credited
    yet is pending (exit code 7): run it again later, or keep it with --pending. Signatures are checked with
    STRIPE_WEBHOOK_SECRET where there are any. With STRIPE_API_KEY set, Stripe is asked for what the events leave open.

    \b
    Examples:
      meterctl events events.ndjson --pending pending.ndjson
      meterctl events body.json --signature "t=1763,v1=5257..."
    """
    if wiring.options.at is not None:
        raise BadInput("events say themselves when", hint="leave out --at", code="usage")
    started = wiring.elapsed()
    if pending is not None:
        check_apart("--pending", pending, file, wiring.store_file)
    result = Events()
    feed = Feed(_store_mode(wiring))
    read_all(_text(file), signature, _verify(wiring), feed, result)
    if pending is not None and Path(pending).exists():
        # What was kept stays until it is settled: a secret that was changed, say, may be changed back.
        read_all(_text(pending), None, _verify(wiring), feed, result, keep_invalid=True)
    gateway = wiring.stripe if wiring.environ.get("STRIPE_API_KEY") else None
    Settler(wiring.ledger, gateway, Booking(wiring.actor, wiring.options.reason, accept_paid)).settle(feed, result)
    if pending is not None and not wiring.options.dry_run:
        _write(pending, dict.fromkeys(map(_line, result.kept)))
    result.seconds = wiring.elapsed() - started
    return result


def _text(file: str) -> str:
    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        return content.decode()
    except OSError as problem:
        message = f"cannot read {file}: {problem.strerror}"
        raise BadInput(message, hint="check the path and its rights", code="bad_file") from None
    except UnicodeDecodeError:
        raise BadInput(f"{file} is not UTF-8", hint="give events as Stripe delivered them", code="bad_file") from None


def _verify(wiring: Wiring) -> Callable[[str, str], bool] | None:
    secret = wiring.environ.get("STRIPE_WEBHOOK_SECRET")
    if not secret:
        return None
    from meterctl.core.payments.gateway import verify

    return partial(verify, secret=secret)


def _store_mode(wiring: Wiring) -> bool | None:
    from meterctl.core.payments.collect import store_mode

    return store_mode(wiring.store)


def _line(delivery: Delivery) -> str:
    kept = {"payload": delivery.body, "signature": delivery.signature}
    return json.dumps(kept) + "\n"


def _write(path: str, lines: Iterable[str]) -> None:
    """Write a file whole or not at all. Raises `BadInput` if it cannot be written."""
    with writing(path), Aside(path) as aside:
        aside.file.writelines(lines)
        aside.keep()
