"""devkit's history of one org as the entries of a journal: each with `imported`, in the order in which things happened.

A lot opens without an expiry, or due events would expire it at an instant at which the old system did not; when all
history is in, an extension gives each lot that is still live its expiry. A removal draws from the lots that the
replay of the old ledger names. A journal with debt has no lots, so units that the replay leaves uncovered come from
other live lots first.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from meterctl.core.domain.checks import check_feature, check_ref, check_step, key_part
from meterctl.core.domain.effects import Draft, credit_effects, draw
from meterctl.core.domain.entries import START, Stamp, Tip, book
from meterctl.core.domain.policy import Pack
from meterctl.core.domain.weeks import week_end, week_start
from meterctl.core.errors import BadInput
from meterctl.core.imports.devkit.gather import merge_weeks
from meterctl.core.imports.devkit.records import OldEntry, OldOrg, OldWeek
from meterctl.core.imports.devkit.replay import Effect, Replay
from meterctl.core.model import DUE_ACTOR, Draw, Entry, Instant, Lot, Week, week_document

SOURCE = "devkit"

#: The pack of a topup whose units are those of no pack, or of several, in the config.
UNKNOWN_PACK = "devkit"

REASON = "history of devkit"


class ImportedHistory(NamedTuple):
    """The old data of an org that its journal holds already.

    ``places``: the seq of the entry for each old one, by its id. ``counted``: the units of each week. ``expired``:
    units of lots that expired in the journal by themselves, by lot.
    """

    tip: Tip = START
    places: Mapping[str, int] = {}
    keys: frozenset[str] = frozenset()
    counted: Mapping[str, int] = {}
    expired: Mapping[int, int] = {}


class _Event(NamedTuple):
    at: Instant
    rank: int
    number: int


class _Paid(NamedTuple):
    """A topup whose price is known: its lot, and the cents that are not refunded."""

    lot: int
    currency: str
    left: int


class JournalBuilder:
    """Builds the entries of one org that its journal lacks. ``problems`` name the records that cannot come in."""

    def __init__(
        self,
        old: OldOrg,
        known: ImportedHistory,
        packs: Mapping[str, Pack],
        foreign_sessions: frozenset[str],
        actor: str,
        now: Instant,
    ) -> None:
        """``foreign_sessions``: sessions that another org holds in the store."""
        self._old = old
        self._packs = packs
        self._foreign_sessions = foreign_sessions
        self._actor = actor
        self._now = now
        self._tip = known.tip
        self._known = known
        self._keys = set(known.keys)
        self._lots = dict(known.places)
        self._by_id = {entry.id: entry for entry in old.entries}
        self._expiries = {known.places[entry.id]: entry.expires_at for entry in old.entries if entry.id in known.places}
        self._plan_name = old.plan if old.plan is not None and _is_ref(old.plan) else None
        self._expired = dict(known.expired)
        self._paid: dict[str, _Paid] = {}
        self._walk = Replay()
        self.entries: list[Entry] = []
        self.problems: list[str] = []

    def build(self) -> list[Entry]:
        """Return the new entries, in order."""
        effects = [self._walk.feed(place, entry) for place, entry in enumerate(self._old.entries)]
        weeks = merge_weeks(self._old.weeks)
        self._plan(effects, weeks)
        for event in sorted(self._events(effects, weeks)):
            if event.rank == 2:
                effect = effects[event.number]._replace(at=event.at)
                self._ledger(self._old.entries[event.number], effect, event.number)
            elif event.rank == 1:
                self._usage(weeks[event.number])
            else:
                self._close(weeks[event.number], event.at)
        self._extend()
        return self.entries

    def _new_entries(self) -> list[int]:
        """Return the places of the entries behind the last known one of their ledger."""
        entries = self._old.entries
        last = {entry.ledger: place for place, entry in enumerate(entries) if entry.id in self._known.places}
        return [place for place, entry in enumerate(entries) if place > last.get(entry.ledger, -1)]

    def _events(self, effects: Sequence[Effect], weeks: Sequence[OldWeek]) -> Iterator[_Event]:
        """Yield the old events in order; at one instant, ends of weeks come first, then usage, then the ledger.

        An entry dated ahead of now happens now: a journal ahead of its clock would delay what comes after."""
        for number in self._new_entries():
            yield _Event(min(effects[number].at, self._now), 2, number)
        for number, week in enumerate(weeks):
            if week_start(week.key) > self._now:
                self.problems.append(f"week {week.key} has not begun, and counts {week.used} units")
            elif week.used or week.runs:
                yield _Event(week_start(week.key), 1, number)
                if week_end(week.key) <= self._now:
                    yield _Event(week_end(week.key), 0, number)

    # -- the ledger

    def _ledger(self, entry: OldEntry, effect: Effect, place: int) -> None:
        if entry.amount > 0:
            self._credit(entry, effect.at, place)
        elif entry.amount < 0:
            self._removal(entry, effect, place)

    def _credit(self, entry: OldEntry, at: Instant, place: int) -> None:
        session = entry.session
        fields = credit_effects(self._tip.state, self._tip.seq + 1, entry.amount, None)
        self._lots[entry.id] = self._tip.seq + 1
        self._expiries[self._tip.seq + 1] = entry.expires_at
        is_pack = entry.kind == "topup" and session is not None and _is_ref(session)
        if is_pack and session not in self._foreign_sessions and f"session:{session}" not in self._keys:
            pack, paid, currency = self._pack_of(entry.amount)
            terms = {"pack": pack, "session": session, "quantity": 1, "paid_cents": paid, "tax_cents": 0}
            operation = {"op": "credit-pack", **terms, "currency": currency, "expires_at": None}
            effects = {**terms, "currency": currency, "names": [], **fields}
            self._paid[session or ""] = _Paid(self._tip.seq + 1, currency, paid)
            self._book(Draft("topup", f"session:{session}", entry.amount, operation, effects), at, entry.id, entry.kind)
            return
        ref = self._free("adjust", entry.ref or f"{SOURCE}:{entry.id}", place)
        operation = {"op": "adjust", "units": entry.amount, "ref": ref, "expires_at": None, "allow_debt": False}
        self._book(Draft("adjustment", f"adjust:{ref}", entry.amount, operation, fields), at, entry.id, entry.kind)

    def _pack_of(self, units: int) -> tuple[str, int, str]:
        fitting = [(name, pack) for name, pack in self._packs.items() if pack.units == units]
        if len(fitting) != 1:
            return UNKNOWN_PACK, 0, "usd"
        name, pack = fitting[0]
        return name, pack.price_cents, pack.currency

    def _removal(self, entry: OldEntry, effect: Effect, place: int) -> None:
        units = -entry.amount - self._expired_before(entry)
        if not units:
            return
        own = self._lots.get(entry.expires) if entry.expires is not None else None
        draws, owed = self._draws(effect, units)
        if entry.kind == "expiration" and own is not None and not owed and self._is_rest(own, draws):
            self._expiration(entry, own, units, effect.at)
            return
        removal = {"units": units, "draws": draws, "debt": {"owed": owed, "overage": 0}}
        if (refund := self._refund(entry, units, removal)) is not None:
            draft = refund
        elif entry.kind == "debit" and entry.ref and _is_ref(entry.ref) and f"debit:{entry.ref}" not in self._keys:
            operation = {"op": "debit", "units": units, "ref": entry.ref, "allow_debt": True}
            draft = Draft("debit", f"debit:{entry.ref}", -units, operation, removal)
        else:
            ref = self._free("adjust", entry.ref or f"{SOURCE}:{entry.id}", place)
            operation = {"op": "adjust", "units": -units, "ref": ref, "expires_at": None, "allow_debt": True}
            draft = Draft("adjustment", f"adjust:{ref}", -units, operation, removal)
        self._book(draft, effect.at, entry.id, entry.kind)

    def _is_rest(self, own: int, draws: list[Draw]) -> bool:
        """Return True if the draws are all that was left of the lot ``own``: its expiration takes no less."""
        left = [{"lot": lot.id, "units": lot.remaining} for lot in self._tip.state.lots if lot.id == own]
        return bool(left) and draws == left

    def _refund(self, entry: OldEntry, units: int, removal: dict[str, Any]) -> Draft | None:
        """Return the removal as a refund, if its cents are known and fit the payment."""
        paid, ref, cents = self._paid.get(entry.session or ""), entry.ref or "", entry.cents
        fits = entry.kind == "refund" and paid is not None and cents and _is_ref(ref)
        if not fits or paid is None or not cents or cents > paid.left or f"refund:{ref}" in self._keys:
            return None
        self._paid[entry.session or ""] = paid._replace(left=paid.left - cents)
        terms = {"session": entry.session, "refund_id": ref, "cents": cents}
        effects = {**terms, "currency": paid.currency, "lot": paid.lot, "forgiven": 0, **removal}
        return Draft("refund", f"refund:{ref}", -units, {"op": "refund", "session": entry.session, **terms}, effects)

    def _expired_before(self, entry: OldEntry) -> int:
        """Return the units of this expiration that expired in the journal by themselves, and count them as done."""
        lot = self._lots.get(entry.expires) if entry.expires is not None else None
        done = min(self._expired.pop(lot, 0), -entry.amount) if lot is not None else 0
        if lot is not None and done:
            self._expired[lot] = 0
        return done

    def _draws(self, effect: Effect, units: int) -> tuple[list[Draw], int]:
        """Return the removal's draws from live lots, and the units that become debt."""
        live = {lot.id: lot for lot in self._tip.state.lots}
        draws: dict[int, int] = {}
        for place, replay_units in effect.draws:
            lot = live.get(self._lots.get(self._old.entries[place].id, 0))
            if lot is not None:
                draws[lot.id] = min(units, lot.remaining, replay_units)
                units -= draws[lot.id]
        rest = [lot._replace(remaining=lot.remaining - draws.get(lot.id, 0)) for lot in self._by_age(live.values())]
        more, owed = draw([lot for lot in rest if lot.remaining], units)
        for further in more:
            draws[further["lot"]] = draws.get(further["lot"], 0) + further["units"]
        return [{"lot": lot_id, "units": share} for lot_id, share in draws.items() if share], owed

    def _by_age(self, lots: Any) -> list[Lot]:
        """Return lots by the expiry that the old system gave them: those past it go first."""
        expiry = self._expiries
        return sorted(lots, key=lambda lot: (expiry.get(lot.id) is None, expiry.get(lot.id) or "", lot.id))

    def _expiration(self, entry: OldEntry, lot: int, units: int, at: Instant) -> None:
        credit = self._by_id.get(entry.expires or "", entry)
        effects = {"lot": lot, "units": units, "expires_at": credit.expires_at or at}
        draft = Draft("expiration", f"expire:{lot}", -units, {"op": "expire", "lot": lot}, effects)
        self._book(draft, at, entry.id, entry.kind, due=True)

    # -- weeks and plan

    def _plan(self, effects: Sequence[Effect], weeks: Sequence[OldWeek]) -> None:
        plan = self._plan_name
        if self._old.plan != plan:
            self.problems.append(f"the plan {self._old.plan!r:.60} has no name that a plan can have here")
        if plan is None or plan == self._tip.state.plan:
            return
        times = [effect.at for effect in effects[:1]] + [week_start(week.key) for week in weeks[:1]]
        at = min([*times, self._old.plan_since or self._now]) if self._tip == START else self._now
        newest = weeks[-1] if weeks else None
        effects_ = {"plan": plan, "version": newest.version if newest else 0, "quota": newest.quota if newest else 0}
        ref = self._free("plan", f"{SOURCE}:{plan}", len(self._keys))
        operation = {"op": "assign-plan", "plan": plan, "ref": ref}
        self._book(Draft("plan", f"plan:{ref}", 0, operation, effects_), at, "subscription", "subscription")

    def _usage(self, week: OldWeek) -> None:
        """Book the runs of a week that are new: the first with the units that are, the others with none."""
        runs = [(run, step) for run, step in week.runs if _run_key(run, step) not in self._keys and _is_run(run, step)]
        new_units = week.used - self._known.counted.get(week.key, 0)
        if new_units < 0:
            self.problems.append(f"week {week.key} counts {week.used} units, where more were brought in before")
            new_units = 0
        if new_units and not runs:
            runs = [(f"{SOURCE}-{week.key}-{self._tip.seq + 1}", "initial")]
        state = self._tip.state.week
        if runs and (state is None or state.key != week.key) and f"week:{week.key}" in self._keys:
            self.problems.append(
                f"week {week.key} was closed, and has {new_units} units and {len(runs)} runs more by now"
            )
            return
        for run, step in runs:
            self._run(week, run, step, new_units)
            new_units = 0

    def _run(self, week: OldWeek, run: str, step: str, units: int) -> None:
        state = self._tip.state.week
        effects: dict[str, Any] = {"run": run, "step": step, "week": week.key, "cycle": 1, "units": units}
        effects |= {"breakdown": _breakdown(week, units), "overflow": 0, "uncovered": 0}
        if state is None or state.key != week.key:
            # Units beyond the quota were debited from the ledger, run by run: they are not overflow again.
            quota = max(week.quota, week.used)
            plan = self._tip.state.plan or self._plan_name or "free"
            opened = Week(week.key, 1, plan, week.version, quota, 0, 0, {}, ())
            effects["opened"] = week_document(opened)
            alerts = [percent for percent in week.alerts if quota and percent * quota <= units * 100]
            if alerts:
                effects["alerts"] = alerts
        operation = {"op": "attribute", "run": run, "step": step, "costs": None, "units": units or None}
        draft = Draft("usage", _run_key(run, step), 0, {**operation, "plan_version": None}, effects)
        self._book(draft, week_start(week.key), week.key, "usage")

    def _close(self, week: OldWeek, monday: Instant) -> None:
        state = self._tip.state.week
        if state is None or state.key != week.key:
            return
        operation = {"op": "close-week", "week": week.key, "cycle": 1}
        effects = {"closed": week_document(state), "opened": None, "settled": 0}
        self._book(Draft("reset", f"week:{week.key}", 0, operation, effects), monday, week.key, "usage", due=True)

    # -- the end

    def _extend(self) -> None:
        """Give each lot that is still live the expiry that it has in the old system."""
        lots = {lot.id: lot for lot in self._tip.state.lots}
        for entry in self._old.entries:
            lot = lots.get(self._lots.get(entry.id, 0))
            if entry.expires_at is None or lot is None or lot.expires_at is not None:
                continue
            ref = self._free("extend", f"{SOURCE}:{entry.id}", lot.id)
            operation = {"op": "extend-lot", "lot": lot.id, "expires_at": entry.expires_at, "ref": ref}
            effects = {"lot": lot.id, "expires_at": entry.expires_at}
            self._book(Draft("extension", f"extend:{ref}", 0, operation, effects), self._tip.at, entry.id, "expiry")

    # -- booking

    def _book(self, draft: Draft, at: Instant, id_: str, kind: str, *, due: bool = False) -> None:
        effects = {**draft.effects, "imported": {"source": SOURCE, "id": id_, "kind": kind}}
        stamp = Stamp(DUE_ACTOR, None, self._now) if due else Stamp(self._actor, REASON, self._now)
        entry, self._tip = book(self._old.org, self._tip, at, draft._replace(effects=effects), stamp)
        self._keys.add(entry["key"])
        self.entries.append(entry)

    def _free(self, prefix: str, ref: str, number: int) -> str:
        """Return a ref that this org has not used under ``prefix``."""
        if not _is_ref(ref):
            ref = f"{SOURCE}:{number}"
        return ref if f"{prefix}:{ref}" not in self._keys else f"{ref}~{number}"


def _is_ref(text: str) -> bool:
    try:
        return bool(check_ref(text))
    except BadInput:
        return False


def _is_run(run: str, step: str) -> bool:
    try:
        return bool(check_ref(run, "a run") and check_step(step))
    except BadInput:
        return False


def _run_key(run: str, step: str) -> str:
    return f"run:{key_part(run)}:{step}"


def _breakdown(week: OldWeek, units: int) -> dict[str, int]:
    """Return the week's units by feature as far as they sum to ``units``; units without a feature are ``default``."""
    features = {feature: count for feature, count in week.breakdown.items() if count > 0 and _is_feature(feature)}
    if units == 0:
        return {}
    if sum(features.values()) > units or units != week.used:
        return {"default": units}
    rest = units - sum(features.values())
    return {**features, **({"default": rest} if rest else {})}


def _is_feature(name: str) -> bool:
    try:
        return bool(check_feature(name))
    except BadInput:
        return False
