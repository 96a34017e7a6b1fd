"""Orgs as one call of the ledger knows them: read once, then carried along with what is decided on top."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain, islice

from meterctl.core.domain.entries import Tip, tip_of, undo_key
from meterctl.core.errors import Damaged
from meterctl.core.model import MAX_UNITS, Entry
from meterctl.core.ports import EntryFilter, Store

#: Orgs that are remembered from chunk to chunk: enough for most files, and bounded for those with a million orgs.
MOST_ORGS = 10_000

#: Lots that the orgs of a chunk, or the entries decided in one, may have together. Each entry carries all lots of its
#: org, some 400 bytes each in memory.
MOST_LOTS = 40_000

#: Lots of all orgs that are remembered from chunk to chunk.
MOST_KEPT_LOTS = 200_000

#: Orgs whose tips are read first, to see how many lots orgs have.
_FIRST_PAGE = 100

#: An entry's org and key.
Name = tuple[str, str]


class OrgView:
    """One org: its tip as read, with the entries decided on top. It is the `rules.History` of the org.

    ``pending`` entries were decided in the chunk at hand, ``flying`` ones in the chunk before, which is being appended.
    ``exact`` is False while the tip may be behind: then an answer that appends nothing proves nothing. The history ends
    where the view does: what others have booked since the tip was read must not be mixed with the state before it.
    """

    def __init__(
        self, store: Store, org: str, newest: Entry | Damaged | None, *, exact: bool, up_to: int | None = None
    ) -> None:
        """``up_to``: the seq at which the history ends, where that is not the tip's."""
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

    @property
    def tip(self) -> Tip:
        if not self._tips:  # raised when it is needed: a journal that is damaged must not stop other orgs
            if isinstance(self._newest, Damaged):
                raise self._newest
            self._tips.append(tip_of(self._newest))
            self._newest = None
        return self._tips[-1]

    @property
    def is_damaged(self) -> bool:
        """Whether the tip cannot be used: asking for it raises `Damaged`."""
        return isinstance(self._newest, Damaged)

    @property
    def lots(self) -> int:
        """How many lots the org has."""
        return 0 if isinstance(self._newest, Damaged) else len(self.tip.state.lots)

    def refresh(self) -> None:
        """Read the tip again, exactly."""
        self._newest, self._tips = self._store.journal.tip(self.org), []
        self.exact = True

    @property
    def is_stored(self) -> bool:
        """Whether nothing is decided on top of what was read."""
        return not (self.pending or self.flying)

    def add(self, entry: Entry, tip: Tip) -> None:
        """Put a decided entry on top."""
        self.pending.append(entry)
        self._tips.append(tip)

    def keep(self, count: int) -> None:
        """Forget all that is pending but the first ``count`` entries."""
        del self.pending[count:], self._tips[count + 1 :]

    def launch(self) -> None:
        """What is pending is being appended."""
        self.flying, self.pending = self.pending, []
        del self._tips[:-1]

    def land(self) -> None:
        """What was being appended is stored."""
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
        stored = self._store.journal.read(self.org, EntryFilter(before=self._end_of_stored(), session=session))
        return [*stored, *(entry for entry in self._on_top() if entry.get("session") == session)]

    def forfeited_of(self, lot: int) -> int:
        where = EntryFilter(before=self._end_of_stored(), after=lot, kinds=("reversal",))
        lost = (drawn for entry in self._store.journal.read(self.org, where) for drawn in entry.get("forfeited", []))
        lost_on_top = (drawn for entry in self._on_top() for drawn in entry.get("forfeited", []))
        return sum(drawn["units"] for drawn in [*lost, *lost_on_top] if drawn["lot"] == lot)

    def voided_of(self, lot: int) -> int:
        stored = (self._as_read(entry) for entry in self._store.journal.starting([self.org], "void:"))
        voids = [entry for entry in [*stored, *self._on_top()] if entry is not None and entry.get("voids") == lot]
        return sum(entry["units"] for entry in voids if self.by_key(undo_key(entry)) is None)

    def extension_of(self, lot: int) -> Entry | None:
        where = EntryFilter(before=self._end_of_stored(), after=lot, kinds=("extension",))
        stored = self._store.journal.read(self.org, where, newest_first=True)
        extensions = (entry for entry in chain(reversed(self._on_top()), stored) if entry["kind"] == "extension")
        return next((entry for entry in extensions if entry["lot"] == lot), None)

    def session_of(self, name: str) -> str | None:
        if self.by_key(f"session:{name}") is not None:
            return name
        for entry in self._on_top():
            if name in entry.get("names", ()):
                return entry["session"]
        claim = self._store.claims.holders([name]).get(name)
        if claim is None or claim.org != self.org or self.by_key(f"session:{claim.session}") is None:
            return None
        return claim.session

    def topup_named(self, names: Iterable[str]) -> Entry | None:
        """Return the topup that has one of these names. Reads the org's topups, once for all calls."""
        where = EntryFilter(before=self._end_of_stored(), after=self._named_up_to, kinds=("topup",))
        for entry in self._store.journal.read(self.org, where):
            self._remember(entry)
            self._named_up_to = entry["seq"]
        on_top = {name: entry["session"] for entry in self._on_top() for name in _names_of(entry)}
        session = next((found for name in names if (found := on_top.get(name) or self._sessions.get(name))), None)
        return None if session is None else self.by_key(f"session:{session}")

    def _remember(self, topup: Entry) -> None:
        for name in _names_of(topup):
            self._sessions.setdefault(name, topup["session"])

    def _on_top(self) -> list[Entry]:
        return self.flying + self.pending

    def _end_of_stored(self) -> int:
        """Up to which seq, itself excluded, the view is what is stored. A flying entry may have arrived there already,
        and must not count twice."""
        if self._up_to is not None:
            return self._up_to + 1
        on_top = self._on_top()
        return on_top[0]["seq"] if on_top else self.tip.seq + 1

    def _as_read(self, stored: Entry | None) -> Entry | None:
        return stored if stored is not None and stored["seq"] < self._end_of_stored() else None


def _names_of(entry: Entry) -> tuple[str, ...]:
    """Return the names of the payment that ``entry`` credits."""
    return (entry["session"], *entry.get("names", ())) if entry["kind"] == "topup" else ()


def unread(store: Store, org: str) -> OrgView:
    """Return a view of ``org`` without reading its tip: it has no state, and its history is all that is stored."""
    return OrgView(store, org, None, exact=False, up_to=MAX_UNITS)


class OrgViews:
    """The views of all orgs that a call is about. They are kept from chunk to chunk, until another writer was first."""

    def __init__(self, store: Store, *, most: int = MOST_ORGS) -> None:
        self._store = store
        self._most = most
        self._views: dict[str, OrgView] = {}

    def of(self, org: str) -> OrgView:
        """The view of ``org``. Of an org that was not loaded it has no tip, only the history."""
        return self._views.get(org) or unread(self._store, org)

    def load(self, orgs: Sequence[str], *, exactly: Collection[str]) -> int:
        """Have a view of each of ``orgs``, in a few queries for all; those in ``exactly`` are read exactly.

        Return how many orgs it got to: it stops where they have `MOST_LOTS` lots together.
        """
        if self._views:
            self._renew(orgs)
        count, lots, size = 0, 0, _FIRST_PAGE
        while count < len(orgs) and lots < MOST_LOTS:
            page = orgs[count : count + size]
            self._load(page, exactly)
            count, lots = count + len(page), lots + sum(self._views[org].lots for org in page)
            size = 1 + (MOST_LOTS - lots) * count // max(1, lots)  # as many as fit if they are like those so far
        if len(self._views) > len(orgs):
            self._forget_oldest(orgs)
        return count

    def _load(self, orgs: Sequence[str], exactly: Collection[str]) -> None:
        missing = [org for org in orgs if org not in self._views]
        exact = missing if len(missing) == 1 else [org for org in missing if org in exactly]
        self._add(exact, {org: self._tip(org) for org in exact}, exact=True)
        if others := [org for org in missing if org not in self._views]:
            self._add(others, self._tips(others), exact=False)

    def make_sure(self, orgs: Iterable[str]) -> None:
        """See to it that the views of these orgs are exact, in few queries for all. Left alone are those with something
        decided on top, and those that cannot be read, which must not stop the others."""
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
        for org in orgs:
            self._views[org].launch()

    def land(self, orgs: Iterable[str]) -> None:
        for org in orgs:
            self.of(org).land()

    def forget(self) -> None:
        """What is kept does not hold any more."""
        self._views.clear()

    def _tip(self, org: str) -> Entry | Damaged | None:
        try:
            return self._store.journal.tip(org)
        except Damaged as problem:
            return problem

    def _tips(self, orgs: Collection[str]) -> Mapping[str, Entry | Damaged | None]:
        """The tips of these orgs; the damage of those that are damaged, which must not stop the others."""
        try:
            return self._store.journal.tips(orgs)
        except Damaged:
            return {org: self._tip(org) for org in orgs}

    def _renew(self, orgs: Collection[str]) -> None:
        """Put those that are kept behind the others. Somebody may have booked there since they were read."""
        for org in orgs:
            view = self._views.pop(org, None)
            if view is not None:
                view.exact = False
                self._views[org] = view

    def _add(self, orgs: Iterable[str], newest: Mapping[str, Entry | Damaged | None], *, exact: bool) -> None:
        for org in orgs:
            self._views[org] = OrgView(self._store, org, newest.get(org), exact=exact)

    def _forget_oldest(self, orgs: Sequence[str]) -> None:
        """Keep so many orgs and lots at most; ``orgs``, the newest, stay in any case."""
        lots = sum(view.lots for view in self._views.values())
        for org in list(islice(self._views, len(self._views) - len(orgs))):
            view = self._views[org]
            if (len(self._views) > self._most or lots > MOST_KEPT_LOTS) and not view.flying:
                lots -= view.lots
                del self._views[org]
