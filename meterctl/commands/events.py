"""``meterctl events``"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Annotated

from meterctl.commands.command import command, new_app
from meterctl.commands.options import argument, option, switch
from meterctl.core.errors import BadInput, said_by
from meterctl.core.files.atomic import Aside, check_apart, writing
from meterctl.core.files.sources import opened_or_standard_input, said, seekable, unzipped
from meterctl.core.payments.webhook_file import lines
from meterctl.core.payments.webhooks import Booking, Events, Feed, Settler, read_all
from meterctl.wiring import Wiring

app = new_app()


@command(app, writes=True)
def events(
    wiring: Wiring,
    file: Annotated[str, argument("FILE|-", "Webhook events, plain or gzip; - reads standard input.")],
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
        check_apart("--pending", pending, file, *wiring.own_files)
    result = Events()
    with ExitStack() as stack:
        waiting = None if pending is None or wiring.options.dry_run else stack.enter_context(_written(pending))
        feed = Feed(_store_mode(wiring), stack.enter_context(TemporaryFile()))
        with _deliveries(file) as given:
            read_all(given, signature, _verify(wiring), feed, result)
        if pending is not None and Path(pending).exists():
            # What was kept stays until it is settled: a secret that was changed, say, may be changed back.
            with _deliveries(pending) as kept:
                read_all(kept, None, _verify(wiring), feed, result, keep_invalid=True)
        gateway = wiring.stripe if wiring.environ.get("STRIPE_API_KEY") else None
        Settler(wiring.ledger, gateway, Booking(wiring.actor, wiring.options.reason, accept_paid)).settle(feed, result)
        if waiting is not None:
            waiting(lines(result.kept))
    result.seconds = wiring.elapsed() - started
    return result


@contextmanager
def _deliveries(name: str) -> Iterator[IO[bytes]]:
    with opened_or_standard_input(name) as file, seekable(unzipped(file)) as source, said_by(said(name)):
        yield source


def _verify(wiring: Wiring) -> Callable[[str, str], bool] | None:
    secret = wiring.environ.get("STRIPE_WEBHOOK_SECRET")
    if not secret:
        return None
    from meterctl.core.payments.stripe_gateway import verify

    return partial(verify, secret=secret)


def _store_mode(wiring: Wiring) -> bool | None:
    from meterctl.core.payments.gather import store_mode

    return store_mode(wiring.store)


@contextmanager
def _written(path: str) -> Iterator[Callable[[Iterable[str]], None]]:
    """Writes lines to a file, whole or not at all. Raises `BadInput` if that cannot be done, as far as it can be told
    before there are any."""
    with writing(path):
        aside = Aside(path)

    def write(lines: Iterable[str]) -> None:
        with writing(path):
            aside.file.writelines(lines)
            aside.keep()

    with aside:
        yield write
