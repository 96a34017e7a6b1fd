"""Keep the orgs of one ledger call: each is read once, and grows with the entries decided on top."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain, islice

from meterctl.core.domain.entries import Tip, tip_of, undo_key
from meterctl.core.domain.operations import Request
from meterctl.core.domain.rules.context import History
from meterctl.core.errors import Damaged
from meterctl.core.model import MAX_UNITS, Claim, Entry
from meterctl.core.ports import EntryFilter, Store

#: Orgs that are kept from chunk to chunk: enough for most files, and a bound for files with a million orgs.
MOST_ORGS = 10_000

#: Lots that the orgs of a chunk, or the entries decided in one, may have together. Each entry carries all lots of its
#: org, some 400 bytes each in memory.
MOST_LOTS = 40_000

#: Lots of all orgs that are kept from chunk to chunk.
MOST_KEPT_LOTS = 200_000

#: Orgs to read first, to estimate the number of lots per org.
_FIRST_PAGE = 100

#: An entry's org and key.
Name = tuple[str, str]


class OrgView:
    """One org: its tip as read, with the entries decided on top. It is the `rules.History` of the org.

    ``pending`` entries were decided in this chunk, ``flying`` ones in the chunk before, which is being appended.
    ``exact`` is False while the tip may be behind: a reply that appends nothing must not depend on it. The history ends
    at the tip that was read: later entries of other writers must not be mixed with the state before them.
    """

    def __init__(
        self, store: Store, org: str, newest: Entry | Damaged | None, *, exact: bool, up_to: int | None = None
    ) -> None:
        """Make a view whose history ends at the seq ``up_to``, or else at the tip."""
        self._store = store
        self._up_to = up_to
        self.org = org
        self.exact = exact
        self.pending: list[Entry] = []
        self.flying: list[Entry] = []
        self._newest = newest
        self._tips: list[Tip] = []
        self._sessions: dict[str, str] = {}
        self._named_up_to = 0
        #: Its lots when `OrgViews` last counted them.
        self.weight = 0

    @property
    def tip(self) -> Tip:
        if not self._tips:  # damage is raised here, on use: it must not stop other orgs
            if isinstance(self._newest, Damaged):
                raise self._newest
            self._tips.append(tip_of(self._newest))
            self._newest = None
        return self._tips[-1]

    @property
    def is_damaged(self) -> bool:
        """Return True if the tip is damaged: asking for it raises `Damaged`."""
        return isinstance(self._newest, Damaged)

    @property
    def lots(self) -> int:
        """Return the number of live lots, 0 if the tip is damaged."""
        return 0 if isinstance(self._newest, Damaged) else len(self.tip.state.lots)

    def refresh(self) -> None:
        """Read the tip again, exactly."""
        self._newest, self._tips = self._store.journal.tip(self.org), []
        self.exact = True

    @property
    def is_stored(self) -> bool:
        """Return True if the view holds stored entries alone."""
        return not (self.pending or self.flying)

    def add(self, entry: Entry, tip: Tip) -> None:
        """Put a decided entry on top."""
        self.pending.append(entry)
        self._tips.append(tip)

    def keep(self, count: int) -> None:
        """Drop all pending entries but the first ``count``."""
        del self.pending[count:], self._tips[count + 1 :]

    def launch(self) -> None:
        """Mark the pending entries as being appended."""
        self.flying, self.pending = self.pending, []
        del self._tips[:-1]

    def land(self) -> None:
        """Mark the flying entries as stored."""
        self.flying = []

    def by_key(self, key: str) -> Entry | None:
        for entry in self._on_top():
            if entry["key"] == key:
                return entry
        return self._as_read(self._store.journal.by_keys([(self.org, key)]).get((self.org, key)))

    def by_seq(self, seq: int) -> Entry | None:
        for entry in self._on_top():
            if entry["seq"] == seq:
                return entry
        return self._as_read(self._store.journal.by_seq(self.org, seq))

    def of_session(self, session: str) -> Sequence[Entry]:
        entries = self._store.journal.read(self.org, EntryFilter(before=self._end_of_stored(), session=session))
        return [*entries, *(entry for entry in self._on_top() if entry.get("session") == session)]

    def forfeited_of(self, lot: int) -> int:
        where = EntryFilter(before=self._end_of_stored(), after=lot, kinds=("reversal",))
        entries = chain(self._store.journal.read(self.org, where), self._on_top())
        draws = (draw for entry in entries for draw in entry.get("forfeited", []))
        return sum(draw["units"] for draw in draws if draw["lot"] == lot)

    def voided_of(self, lot: int) -> int:
        entries = (self._as_read(entry) for entry in self._store.journal.starting([self.org], "void:"))
        voids = [entry for entry in [*entries, *self._on_top()] if entry is not None and entry.get("voids") == lot]
        return sum(entry["units"] for entry in voids if self.by_key(undo_key(entry)) is None)

    def extension_of(self, lot: int) -> Entry | None:
        where = EntryFilter(before=self._end_of_stored(), after=lot, kinds=("extension",))
        entries = self._store.journal.read(self.org, where, newest_first=True)
        extensions = (entry for entry in chain(reversed(self._on_top()), entries) if entry["kind"] == "extension")
        return next((entry for entry in extensions if entry["lot"] == lot), None)

    def session_of(self, name: str) -> str | None:
        if self.by_key(f"session:{name}") is not None:
            return name
        for entry in self._on_top():
            if name in entry.get("names", ()):
                return entry["session"]
        claim = self._store.claims.holders([name]).get(name)
        if claim is None or claim.org != self.org or topup_of(claim, self) is None:
            return None
        return claim.session

    def topup_named(self, names: Iterable[str]) -> Entry | None:
        """Return the topup that has one of these names. Reads the org's topups, once for all calls."""
        where = EntryFilter(before=self._end_of_stored(), after=self._named_up_to, kinds=("topup",))
        for entry in self._store.journal.read(self.org, where):
            self._remember(entry)
            self._named_up_to = entry["seq"]
        on_top = {name: entry["session"] for entry in self._on_top() for name in names_of(entry)}
        sessions = (on_top.get(name) or self._sessions.get(name) for name in names)
        session = next(filter(None, sessions), None)
        return None if session is None else self.by_key(f"session:{session}")

    def _remember(self, topup: Entry) -> None:
        for name in names_of(topup):
            self._sessions[name] = topup["session"]  # of two, the older one was undone

    def _on_top(self) -> list[Entry]:
        return self.flying + self.pending

    def _end_of_stored(self) -> int:
        """Return the first seq that the view takes from its own entries instead of the store.

        A flying entry may be in the store already, and must not count twice.
        """
        if self._up_to is not None:
            return self._up_to + 1
        on_top = self._on_top()
        return on_top[0]["seq"] if on_top else self.tip.seq + 1

    def _as_read(self, entry: Entry | None) -> Entry | None:
        return entry if entry is not None and entry["seq"] < self._end_of_stored() else None


def names_of(entry: Entry) -> tuple[str, ...]:
    """Return the names of the payment that ``entry`` credits; none if it is no topup."""
    return (entry["session"], *entry.get("names", ())) if entry["kind"] == "topup" else ()


def topup_of(claim: Claim, history: History) -> Entry | None:
    """Return the topup that follows ``claim`` in the ``history`` of its org, or None if there is none."""
    return None if claim.topup_key is None else history.by_key(claim.topup_key)


def journal_history(store: Store, org: str) -> OrgView:
    """Return a view of ``org`` without reading its tip: it has no state, and its history is the whole journal."""
    return OrgView(store, org, None, exact=False, up_to=MAX_UNITS)


class OrgViews:
    """The views of the orgs in one call. They are kept from chunk to chunk, until another writer appends first."""

    def __init__(self, store: Store, *, most: int = MOST_ORGS) -> None:
        self._store = store
        self._most = most
        self._views: dict[str, OrgView] = {}
        # The orgs of the chunk before, and the lots of all orgs kept from there: to add those up for each chunk again
        # would take a tenth of the time of a sweep.
        self._last: Sequence[str] = ()
        self._kept_lots = 0
        #: The modes of topups that got another name in this chunk, and in the chunk that is being appended.
        self.named: dict[Name, bool] = {}
        self.flying_named: dict[Name, bool] = {}

    def of(self, org: str) -> OrgView:
        """Return the view of ``org``. The view of an org that was not loaded has a history and no tip."""
        return self._views.get(org) or journal_history(self._store, org)

    def load(self, requests: Sequence[Request], *, exactly: Collection[str] = ()) -> Sequence[Request]:
        """Load the orgs of ``requests`` in a few queries for all, and the tips of those in ``exactly`` exactly.

        Return the first requests, up to `MOST_LOTS` lots together.
        """
        orgs = list(dict.fromkeys(request.operation.org for request in requests))
        if self._views:
            self._weigh_last()
            self._renew(orgs)
        if len(orgs) == 1 and orgs[0] not in self._views:
            self._views[orgs[0]] = OrgView(self._store, orgs[0], self._tip(orgs[0]), exact=True)
            count = 1
        else:
            count = self._load_pages(orgs, exactly)
        self._last = orgs[:count]
        if len(self._views) > len(orgs):
            self._forget_oldest(orgs)
        return requests if len(requests) == 1 else self._within_lots(requests, orgs[:count])

    def _within_lots(self, requests: Sequence[Request], orgs: Sequence[str]) -> Sequence[Request]:
        """Return the first requests for the loaded ``orgs``, up to `MOST_LOTS` lots together."""
        sizes = {org: self._views[org].lots for org in orgs}
        lots = 0
        for index, request in enumerate(requests):
            org = request.operation.org
            if index and (org not in sizes or lots + sizes[org] > MOST_LOTS):
                return requests[:index]
            lots += sizes[org]
        return requests

    def _load_pages(self, orgs: Sequence[str], exactly: Collection[str]) -> int:
        count, lots, page = 0, 0, orgs[:_FIRST_PAGE]
        while page:
            self._load(page, exactly)
            count += len(page)
            if count == len(orgs):
                break
            lots += sum(self._views[org].lots for org in page)
            if lots >= MOST_LOTS:
                break
            # As many as fit if they have as many lots as those so far.
            page = orgs[count : count + 1 + (MOST_LOTS - lots) * count // max(1, lots)]
        return count

    def _load(self, orgs: Sequence[str], exactly: Collection[str]) -> None:
        missing = [org for org in orgs if org not in self._views]
        exact = {org: self._tip(org) for org in missing if org in exactly or len(missing) == 1}
        others = [org for org in missing if org not in exact]
        newest = {**exact, **self._tips(others)} if others else exact
        for org in missing:
            self._views[org] = OrgView(self._store, org, newest.get(org), exact=org in exact)

    def make_sure(self, orgs: Iterable[str]) -> None:
        """Make the views of these orgs exact, in few queries for all.

        Views with entries on top stay as they are, and so do damaged ones, which must not stop the others.
        """
        seqs: dict[str, int] = {}
        for org in orgs:
            view = self._views[org]
            if view.is_stored and not view.exact and not view.is_damaged:
                seqs[org] = view.tip.seq
        grown = self._store.journal.grown(seqs) if seqs else set()
        for org in seqs:
            if org in grown:
                self._views[org].refresh()
            self._views[org].exact = True

    def launch(self, orgs: Iterable[str]) -> None:
        self.flying_named, self.named = self.named, {}
        for org in orgs:
            self._views[org].launch()

    def land(self, orgs: Iterable[str]) -> None:
        self.flying_named = {}
        for org in orgs:
            self.of(org).land()

    def forget(self) -> None:
        """Drop all views: another writer has appended."""
        self._views.clear()
        self._last, self._kept_lots = (), 0
        self.named, self.flying_named = {}, {}

    def _tip(self, org: str) -> Entry | Damaged | None:
        try:
            return self._store.journal.tip(org)
        except Damaged as problem:
            return problem

    def _tips(self, orgs: Collection[str]) -> Mapping[str, Entry | Damaged | None]:
        """Return the tips of these orgs, or the damage to a tip, which must not stop the others."""
        try:
            return self._store.journal.tips(orgs)
        except Damaged:
            return {org: self._tip(org) for org in orgs}

    def _weigh_last(self) -> None:
        """Count the lots of the last chunk's orgs, as that chunk left them."""
        for org in self._last:
            view = self._views[org]
            lots = view.lots
            self._kept_lots += lots - view.weight
            view.weight = lots

    def _renew(self, orgs: Collection[str]) -> None:
        """Mark the kept views of ``orgs`` as newest, and as inexact: others may have booked since they were read."""
        for org in orgs:
            view = self._views.pop(org, None)
            if view is not None:
                view.exact = False
                self._views[org] = view

    def _forget_oldest(self, orgs: Sequence[str]) -> None:
        """Drop the oldest views beyond the bounds on orgs and lots; the newest, ``orgs``, always stay."""
        for org in list(islice(self._views, len(self._views) - len(orgs))):
            if len(self._views) <= self._most and self._kept_lots <= MOST_KEPT_LOTS:
                return
            view = self._views[org]
            if not view.flying:
                self._kept_lots -= view.weight
                del self._views[org]
