"""The same operations from Python: `connect` gives a client whose methods book and read as the commands do.

A method returns a typed receipt if the operation was applied, replayed, refused by a rule, or in conflict. It raises
`MeterctlError` if the command would exit with 1, 2, 3 or 10: bad input or config, an unknown name, no answer from the
store.
"""

import os
import threading
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from types import TracebackType
from typing import Any, NamedTuple, Self, TypedDict, Unpack

from meterctl.core.domain import instants
from meterctl.core.domain.checks import check_integer, check_ref
from meterctl.core.domain.digest import hash_many
from meterctl.core.domain.operation_documents import request_from_document
from meterctl.core.domain.operations import Request
from meterctl.core.errors import NOT_FOUND, REFUSALS, BadInput, MeterctlError, NotFound, did_you_mean, name_source
from meterctl.core.model import KINDS, Instant, Kind
from meterctl.core.reads.ledger_query import LedgerQuery
from meterctl.core.reads.queries import Reads
from meterctl.core.results import Balance, LedgerPage, Meter, Receipt
from meterctl.options import Options
from meterctl.wiring import Wiring

#: A time as callers have it: ISO 8601 text, or a datetime with a zone.
Time = str | datetime

#: Operations of `Client.book` that are decided and appended together.
CHUNK = 500


class By(TypedDict, total=False):
    """The time and the actor of a write; by default now, and the client's actor."""

    at: Time | None
    actor: str | None


class Caller(By, total=False):
    """The time, the actor and the reason of a write."""

    reason: str | None


class AlertPage(NamedTuple):
    """Alerts, oldest first. ``next`` is the cursor of the page after this one; None where no cursor was given."""

    alerts: Sequence[Mapping[str, Any]]
    next: str | None


def connect(
    store_url: str | None = None,
    *,
    config: str | os.PathLike[str] | None = None,
    actor: str | None = None,
    now: Time | None = None,
    profile: str | None = None,
) -> "Client":
    """Open a store and return a client for it, to be used as a context manager or closed.

    Missing arguments come from the environment, the profile, the config or the defaults, as on the command line.
    ``now`` pins the clock, for tests.
    """
    options = Options(
        store=store_url,
        config=None if config is None else os.fspath(config),
        profile=profile,
        now=None if now is None else str(_instant(now)),
        actor=actor,
    )
    return Client(options)


class Client:
    """One store, one config, one actor. Made by `connect`; threads may share it, and a forked child may go on with it.

    Each write takes ``at`` (when it happened; else now), ``reason`` and ``actor``, and is booked once under its own
    name: call it again after any doubt, and a receipt with the status ``replayed`` comes back.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._closed = False
        self._reset()
        self._open()
        hash_many()  # a client lives longer than a command
        _clients.add(self)

    def _reset(self) -> None:
        """Forget open connections: they belong to the parent process of a fork."""
        self._lock = threading.Lock()
        self._opened: Wiring | None = None
        self._may_write = False

    def _open(self) -> Wiring:
        wiring = self._opened
        if wiring is not None:
            return wiring
        with self._lock:
            if self._closed:
                raise MeterctlError("this client is closed", code="closed", hint="connect again")
            if self._opened is None:
                wiring = Wiring(self._options)
                # Create lazy attributes now, before threads share the object.
                _ = wiring.settings, wiring.store_url, wiring.clock, wiring.actor, wiring.ledger
                self._opened = wiring
            return self._opened

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            self._closed = True
            wiring, self._opened = self._opened, None
        if wiring is not None:
            wiring.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- writes

    def credit_pack(
        self,
        org: str,
        pack: str,
        *,
        session: str,
        paid_cents: int | None = None,
        quantity: int | None = None,
        tax_cents: int | None = None,
        names: Sequence[str] | None = None,
        expires_at: Time | None = None,
        **caller: Unpack[Caller],
    ) -> Receipt:
        """Book a sold pack under its payment ``session``; ``names`` are further ids of the payment."""
        return self._book(
            "credit-pack", org, caller, pack=pack, session=session, paid_cents=paid_cents, quantity=quantity,
            tax_cents=tax_cents, names=None if names is None else list(names), expires_at=_text(expires_at),
        )  # fmt: skip

    def debit(
        self, org: str, units: int, *, ref: str, allow_debt: bool | None = None, **caller: Unpack[Caller]
    ) -> Receipt:
        """Take units from an org; refused if it has fewer, unless ``allow_debt``."""
        return self._book("debit", org, caller, units=units, ref=ref, allow_debt=allow_debt)

    def refund(self, org: str, *, session: str, cents: int, refund_id: str, **caller: Unpack[Caller]) -> Receipt:
        """Claw back the units of a refund of ``cents`` on a payment."""
        return self._book("refund", org, caller, session=session, cents=cents, refund_id=refund_id)

    def reverse_refund(self, org: str, refund_id: str, **caller: Unpack[Caller]) -> Receipt:
        """Give back the units that a refund clawed."""
        return self._book("reverse-refund", org, caller, refund_id=refund_id)

    def adjust(
        self,
        org: str,
        units: int,
        *,
        ref: str,
        reason: str,
        expires_at: Time | None = None,
        allow_debt: bool | None = None,
        priority: int | None = None,
        lot: int | None = None,
        **caller: Unpack[By],
    ) -> Receipt:
        """Grant units, or take them back if negative, only from ``lot`` if not None."""
        return self._book(
            "adjust", org, {**caller, "reason": reason}, units=units, ref=ref, expires_at=_text(expires_at),
            allow_debt=allow_debt, priority=priority, lot=lot,
        )  # fmt: skip

    def attribute(
        self,
        org: str,
        *,
        run: str,
        step: str | None = None,
        costs: Mapping[str, str | int | Decimal] | None = None,
        units: int | None = None,
        plan_version: int | None = None,
        hold: str | None = None,
        **caller: Unpack[Caller],
    ) -> Receipt:
        """Meter a run by its costs in US dollars (texts or `Decimal`, never floats) or by units.

        With ``hold`` the same entry releases the hold.
        """
        return self._book(
            "attribute", org, caller, run=run, step=step, costs=costs, units=units, plan_version=plan_version, hold=hold
        )

    def hold(
        self, org: str, units: int, *, ref: str, expires_at: Time | None = None, **caller: Unpack[Caller]
    ) -> Receipt:
        """Reserve units for a run, for an hour unless ``expires_at`` says otherwise."""
        return self._book("hold", org, caller, units=units, ref=ref, expires_at=_text(expires_at))

    def release(self, org: str, hold: str, **caller: Unpack[Caller]) -> Receipt:
        """Release a hold."""
        return self._book("release", org, caller, hold=hold)

    def assign_plan(
        self, org: str, plan: str, *, ref: str, from_at: Time | None = None, **caller: Unpack[Caller]
    ) -> Receipt:
        """Put an org on a plan, at once or from a later instant on."""
        return self._book("assign-plan", org, caller, plan=plan, ref=ref, **{"from": _text(from_at)})

    def undo(
        self, org: str, *, reason: str, of: str | None = None, seq: int | None = None, **caller: Unpack[By]
    ) -> Receipt:
        """Take an entry back, named by its key (``of="debit:r1"``) or its number."""
        return self._book("undo", org, {**caller, "reason": reason}, of=of, seq=seq)

    def extend_lot(
        self, org: str, lot: int, *, expires_at: Time, ref: str, reason: str, **caller: Unpack[By]
    ) -> Receipt:
        """Change the expiry of a lot; ``expires_at`` may be ``"never"``."""
        return self._book(
            "extend-lot", org, {**caller, "reason": reason}, lot=lot, expires_at=_text(expires_at), ref=ref
        )

    def void_lot(self, org: str, lot: int, *, ref: str, reason: str, **caller: Unpack[By]) -> Receipt:
        """Take the remaining units of a lot."""
        return self._book("void-lot", org, {**caller, "reason": reason}, lot=lot, ref=ref)

    def reset_week(self, org: str, *, ref: str, reason: str, **caller: Unpack[By]) -> Receipt:
        """Close the open week now and begin its next cycle."""
        return self._book("reset-week", org, {**caller, "reason": reason}, ref=ref)

    def book(self, operations: Iterable[Mapping[str, Any]]) -> Iterator[Receipt]:
        """Book operation documents in order and yield a receipt for each; nothing happens before iteration.

        Documents before an invalid one are booked before its error is raised. Refusals, "not found" among them, are
        receipts here.
        """
        wiring = self._for_writing()
        requests: list[Request] = []
        for document in operations:
            try:
                requests.append(request_from_document(document, actor=wiring.actor))
            except BadInput:
                yield from wiring.ledger.execute(requests)
                raise
            if len(requests) == CHUNK:
                yield from wiring.ledger.execute(requests)
                requests = []
        yield from wiring.ledger.execute(requests)

    def _book(self, operation: str, org: str, caller: Mapping[str, Any], **fields: Any) -> Receipt:
        wiring = self._for_writing()
        if unknown := caller.keys() - Caller.__annotations__.keys():
            raise TypeError(f"{operation} has no argument {min(unknown)!r}")
        document = {"op": operation, "org": org, **fields, **caller, "at": _text(caller.get("at"))}
        present = {name: value for name, value in document.items() if value is not None}
        receipt = wiring.ledger.one(request_from_document(present, actor=wiring.actor))
        if receipt.status == "failed" or _is_not_found(receipt):
            kind = NotFound if receipt.status == "refused" else MeterctlError
            raise kind(receipt.message, code=receipt.reason, hint=receipt.hint)
        return receipt

    def _for_writing(self) -> Wiring:
        wiring = self._open()
        if not self._may_write:
            wiring.check_named()
            self._may_write = True
        return wiring

    # -- reads

    def check(self, org: str, units: int = 0) -> Meter:
        """Return the meter with ``.allowed``: True if an org may run ``units`` now. Reserves nothing, see `hold`."""
        return self._reads().meter(org, requested=check_integer(units, "units", least=0), gate=True)

    def meter(self, org: str) -> Meter:
        """Read this week of an org: quota, used, available."""
        return self._reads().meter(org)

    def balance(self, org: str, as_of: Time | None = None) -> Balance:
        """Read the balance of an org: units, live lots, debt, next expiry."""
        return self._reads().balance(org, None if as_of is None else _instant(as_of))

    def ledger(
        self,
        org: str,
        *,
        since: Time | None = None,
        until: Time | None = None,
        kinds: Iterable[str] = (),
        all_kinds: bool = False,
        limit: int = 20,
        before: int | None = None,
        session: str | None = None,
        ref: str | None = None,
    ) -> LedgerPage:
        """Read a page of an org's journal, newest first; ``since`` and ``until`` take spans such as ``"7d"`` too."""
        query = LedgerQuery(
            kinds=tuple(_kind(name) for name in kinds),
            all_kinds=all_kinds,
            since=self._filter("since", since),
            until=self._filter("until", until),
            limit=check_integer(limit, "limit", least=1),
            before=None if before is None else check_integer(before, "before", least=1),
            session=None if session is None else check_ref(session, "a session"),
            ref=None if ref is None else check_ref(ref),
        )
        page = self._reads().ledger(org, query)
        page.entries = list(page.entries)
        return page

    def alerts(self, org: str | None = None, *, since: Time | None = None, after: str | None = None) -> AlertPage:
        """Read alerts: of one org or all ``since`` an instant, or as a feed from a cursor (or an instant) on.

        A feed misses nothing and repeats nothing: pass ``next`` of a page as ``after`` to get the following page.
        """
        reads = self._reads()
        if after is None:
            listing = reads.alerts(org, self._filter("since", since))
        elif org is None and since is None:
            listing = reads.alert_feed(after if "/" in after else str(self._filter("after", after)))
        else:
            raise BadInput("a feed has all orgs, from a cursor on", hint="with after, omit org and since", code="usage")
        return AlertPage(list(listing.items), listing.about["next"])

    def _reads(self) -> Reads:
        wiring = self._open()
        # Create one for each call, because it caches plan versions and others may publish new ones.
        return Reads(wiring.store, wiring.clock, wiring.settings.terms)

    def _filter(self, name: str, time: Time | None) -> Instant | None:
        if not isinstance(time, str):
            return None if time is None else _instant(time)
        with name_source(name):
            return instants.parse_filter(time, self._open().now)


#: Clients that a forked child has to open anew: a driver's threads and connections stay with the parent.
_clients: "weakref.WeakSet[Client]" = weakref.WeakSet()


def _reset_all() -> None:
    for client in list(_clients):
        client._reset()


os.register_at_fork(after_in_child=_reset_all)


def _is_not_found(receipt: Receipt) -> bool:
    return receipt.status == "refused" and receipt.reason is not None and REFUSALS[receipt.reason][0] == NOT_FOUND


def _kind(name: str) -> Kind:
    for kind in KINDS:
        if kind == name:
            return kind
    hint = f"kinds: {', '.join(KINDS)}"
    raise BadInput(f"{name!r} is no kind of entry{did_you_mean(name, KINDS)}", hint=hint, code="bad_kind")


def _instant(time: object) -> Instant:
    if isinstance(time, str):
        return instants.parse(time)
    if not isinstance(time, datetime):  # a caller without type checks: a number, a date
        hint = "give ISO 8601 text, or a datetime with a zone"
        raise BadInput(f"{time!r} is not a time", hint=hint, code="bad_time")
    if time.tzinfo is None:
        hint = "give it one: datetime.now(UTC), or .astimezone()"
        raise BadInput(f"{time.isoformat()} has no time zone, so it names no instant", hint=hint, code="naive_time")
    return instants.from_datetime(time)


def _text(time: Time | None) -> str | None:
    """Return a time in the form of operation documents."""
    return time if time is None or isinstance(time, str) else str(_instant(time))
