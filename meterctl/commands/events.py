"""``meterctl events``"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Annotated, cast

from meterctl.commands.command import command, new_app
from meterctl.commands.options import argument, filter_time, option, switch
from meterctl.core.errors import BadInput, name_source
from meterctl.core.files.atomic import Aside, check_apart, writing
from meterctl.core.files.locked import locked
from meterctl.core.files.sources import display_name, open_file_or_standard_input, unzip
from meterctl.core.payments.stripe.reader import Span
from meterctl.core.payments.webhooks.deliveries import lines, rejected_lines
from meterctl.core.payments.webhooks.event_counts import Events
from meterctl.core.payments.webhooks.feed import Feed
from meterctl.core.payments.webhooks.intake import Intake, Trust, listed_events
from meterctl.core.payments.webhooks.settler import Booking, Settler
from meterctl.process.clock import SystemClock
from meterctl.process.long_run import prepare_long_run
from meterctl.wiring import Wiring

app = new_app()


@command(app, writes=True, metrics="events")
def events(
    wiring: Wiring,
    file: Annotated[str | None, argument("FILE|-", "Webhook events, plain or gzip; - reads standard input.")] = None,
    from_stripe: Annotated[bool, switch("--from-stripe", "Read the events from the Stripe account.")] = False,
    since: Annotated[str | None, option("--since", "TIME", "With --from-stripe: events since (else 3d).")] = None,
    signature: Annotated[
        str | None, option("--signature", "HEADER", "The Stripe-Signature of the only event in the file.")
    ] = None,
    pending: Annotated[
        str | None, option("--pending", "FILE", "Keep events that must wait in FILE, and retry them.")
    ] = None,
    rejects: Annotated[
        str | None, option("--rejects", "FILE", "Write invalid and refused events to FILE, with the reason.")
    ] = None,
    unsigned: Annotated[
        bool, switch("--unsigned", "Accept events without a signature although a secret is set.")
    ] = False,
    accept_paid: Annotated[
        list[str] | None, option("--accept-paid", "ID", "Accept the amount of this payment; repeatable.")
    ] = None,
    accept_discount: Annotated[bool, switch("--accept-discount", "Accept prices reduced by a discount.")] = False,
) -> Events:
    """Book Stripe's webhook events, in any order, once each.

    Books a topup for each paid session, a refund for each refund or lost dispute, and a reversal for a failed refund or
    won dispute. Events may come in any order and any number of times; the final state is the same. A refund whose pack
    is not credited yet is pending (exit code 7): run it again later, or keep it with --pending. Signatures are checked
    with STRIPE_WEBHOOK_SECRET, which may hold several secrets; if it is set, an event without a signature is refused.
    If STRIPE_API_KEY is set, missing details are read from Stripe.

    \b
    Examples:
      meterctl events events.ndjson --pending pending.ndjson
      meterctl events body.json --signature "t=1763,v1=5257..."
      meterctl events --from-stripe --since 3d
    """
    _check_source(wiring, file, signature, from_stripe=from_stripe, since=since)
    prepare_long_run()
    began = wiring.elapsed()
    for name, path in (("--pending", pending), ("--rejects", rejects)):
        if path is not None:
            check_apart(name, path, file, *wiring.own_files, *([pending] if name == "--rejects" else []))
    result = Events()
    with ExitStack() as stack:
        keeping = stack.enter_context(_Keeping(pending, rejects, dry_run=wiring.options.dry_run))
        gateway = wiring.stripe if from_stripe or wiring.environ.get("STRIPE_API_KEY") else None
        feed = Feed(_store_mode(wiring), stack.enter_context(TemporaryFile()))
        intake = Intake(Trust(_verify(wiring), unsigned), wiring.shop, feed, result, keeping.reject)
        if file is not None:
            with _deliveries(file) as deliveries:
                intake.read(deliveries, signature)
        elif gateway is not None:
            intake.take(listed_events(gateway, _span(wiring, since)))
        if pending is not None and Path(pending).exists():
            # Pending events stay until they are settled, even if a changed secret makes them invalid for now.
            with _deliveries(pending) as deliveries:
                intake.read(deliveries, None, keep_invalid=True)
        booking = Booking(
            actor=wiring.actor,
            reason=wiring.options.reason,
            shop=wiring.shop,
            discounts=accept_discount,
            accept_paid=frozenset(accept_paid or ()),
        )
        Settler(wiring.ledger, gateway, booking).settle(feed, result)
        keeping.keep(result)
    result.seconds = wiring.elapsed() - began
    return result


def _check_source(
    wiring: Wiring, file: str | None, signature: str | None, *, from_stripe: bool, since: str | None
) -> None:
    if wiring.options.at is not None:
        raise BadInput("events have their own times", hint="leave out --at", code="usage")
    if signature is not None and not signature.strip():
        raise BadInput("--signature is empty", hint="give the event's Stripe-Signature header", code="usage")
    if from_stripe == (file is not None):
        message = "events are in a FILE, or come --from-stripe, not both" if from_stripe else "name a FILE of events"
        raise BadInput(message, hint="meterctl events FILE; or: meterctl events --from-stripe", code="usage")
    if since is not None and not from_stripe:
        raise BadInput("--since goes with --from-stripe", hint="leave it out: a file is read whole", code="usage")


class _Keeping:
    """The pending and reject files: each written as a whole, and none on a dry run."""

    def __init__(self, pending: str | None, rejects: str | None, *, dry_run: bool) -> None:
        self._pending = None if dry_run else pending
        self._rejects = None if dry_run else rejects
        self._files = ExitStack()
        self._asides: dict[str, Aside] = {}

    def __enter__(self) -> "_Keeping":
        with ExitStack() as files:
            for path in (self._pending, self._rejects):
                if path is None:
                    continue
                if path == self._pending:
                    files.enter_context(locked(path, SystemClock().sleep))
                with writing(path):
                    self._asides[path] = files.enter_context(Aside(path))
            self._files = files.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()

    def reject(self, line: str) -> None:
        """Write a delivery that is invalid or refused."""
        if self._rejects is not None:
            with writing(self._rejects):
                self._asides[self._rejects].file.write(f"{line}\n")

    def keep(self, result: Events) -> None:
        """Write both files."""
        for line in rejected_lines(result.rejections):
            self.reject(line)
        for path, texts in ((self._pending, lines(result.to_keep)), (self._rejects, ())):
            if path is not None:
                with writing(path):
                    self._asides[path].file.writelines(texts)
                    self._asides[path].keep()


def _span(wiring: Wiring, since: str | None) -> Span:
    return Span(filter_time(wiring, "since", since or "3d"), wiring.now)


@contextmanager
def _deliveries(name: str) -> Iterator[IO[bytes]]:
    with open_file_or_standard_input(name) as file, name_source(display_name(name)):
        yield cast(IO[bytes], unzip(file))


def _verify(wiring: Wiring) -> Callable[[str, str], bool] | None:
    """Return a check against all signing secrets; there are two during a rotation."""
    secrets = wiring.environ.get("STRIPE_WEBHOOK_SECRET", "").split()
    if not secrets:
        return None
    from meterctl.core.payments.stripe.gateway import verify

    return lambda body, header: any(verify(body, header, secret) for secret in secrets)


def _store_mode(wiring: Wiring) -> bool | None:
    from meterctl.core.booking.payment_modes import store_mode

    return store_mode(wiring.store)
