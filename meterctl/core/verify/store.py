"""Verifying what a store holds: journals, heads and claims."""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import islice
from typing import NamedTuple, TypeVar

from meterctl.core.canonical import canonical_text
from meterctl.core.ledger import head_of
from meterctl.core.model import Entry
from meterctl.core.ports import Head, Store
from meterctl.core.results import Verification
from meterctl.core.verify.checks import Check
from meterctl.core.verify.journal import JournalCheck
from meterctl.core.verify.run import UNREADABLE, OnTip, Progress, Run, Scope, readable
from meterctl.core.verify.seal import Seal

#: Orgs, claims or topups that are looked up together.
CHUNK = 500

_REPAIR = "verify --repair-heads mends it"

Item = TypeVar("Item")


def verify_org(
    store: Store,
    org: str,
    *,
    seal: Seal | None = None,
    progress: Progress | None = None,
    on_tip: OnTip | None = None,
) -> Verification:
    """Check the journal of ``org``, its head, and that each of its topups holds its claim. Writes nothing."""
    run = Run(progress=progress, on_tip=on_tip, seal=seal, scope=lambda name: name == org)
    check = _StoreCheck(store, run)
    check.orgs([org])
    return run.done()


def verify_all(
    store: Store,
    *,
    after: str = "",
    shard: Scope | None = None,
    seal: Seal | None = None,
    progress: Progress | None = None,
    on_tip: OnTip | None = None,
) -> Verification:
    """Check every org from behind ``after`` on that ``shard`` takes: journals, heads and claims. Writes nothing, and
    can run while others write. Memory depends on neither the length of journals nor the number of orgs."""

    def scope(org: str) -> bool:
        return org > after and (shard is None or shard(org))

    run = Run(progress=progress, on_tip=on_tip, seal=seal, scope=scope)
    check = _StoreCheck(store, run)
    for orgs in _chunks(filter(scope, store.journal.orgs(after=after))):
        check.orgs(orgs)
    check.heads_without_journal(after)
    check.claims()
    return run.done()


class _Topup(NamedTuple):
    org: str
    seq: int
    session: str


class _StoreCheck:
    """Journals of a store with checks 13 and 14, which need more than the journal."""

    def __init__(self, store: Store, run: Run) -> None:
        self._store = store
        self._run = run
        self._topups: list[_Topup] = []

    def orgs(self, orgs: list[str]) -> None:
        """Check these orgs. Heads are read after the journals: what is booked meanwhile can only put them ahead."""
        checks = [self._journal(org) for org in orgs]
        heads = self._heads(orgs)
        for check in checks:
            head = heads.get(check.org)
            if check.tip is not None:
                self._head(check.tip, head)
            elif check.seq == 0 and head is not None:
                self._lone_head(head)
        self._flush_topups()

    def _journal(self, org: str) -> JournalCheck:
        journal, run = self._store.journal, self._run
        check = run.start(org, partial(self._look_up, org))
        for entry, problem in readable(journal.read(org)):
            run.entry(check.feed(entry) if problem is None else check.unreadable(problem))
            tip = check.tip
            if tip is not None and tip["kind"] == "topup":
                self._topup(_Topup(org, tip["seq"], tip["session"]))
        run.end(check)
        return check

    def _look_up(self, org: str, seq: int) -> object:
        try:
            return self._store.journal.by_seq(org, seq)
        except UNREADABLE:
            return None

    # -- check 13

    def _heads(self, orgs: list[str]) -> Mapping[str, Head]:
        try:
            return self._store.heads.get(orgs)
        except UNREADABLE as problem:
            if len(orgs) == 1:
                self._run.note(orgs[0], None, Check.HEAD, f"the head cannot be read: {problem!r}; {_REPAIR}")
                return {}
        return {org: head for org in orgs for head in self._heads([org]).values()}

    def _head(self, tip: Entry, head: Head | None) -> None:
        org, seq = tip["org"], tip["seq"]
        if _is_head_of(head, tip):
            return
        if head is None or head.seq < seq:
            # A writer puts the head a moment after it appended: look once more.
            head = self._heads([org]).get(org)
        if head is None:
            self._run.note(org, seq, Check.HEAD, f"there is no head; {_REPAIR}")
        elif head.seq < seq:
            self._run.note(org, seq, Check.HEAD, f"the head is behind, at entry {head.seq} of {seq}; {_REPAIR}")
        elif not self._booked_since(org, head):
            self._run.note(org, seq, Check.HEAD, f"the head is not that of entry {head.seq}; {_REPAIR}")

    def _booked_since(self, org: str, head: Head) -> bool:
        """Whether ``head`` is right by an entry that was appended while the journal was read."""
        entry = self._look_up(org, head.seq)
        try:
            return entry is not None and _is_head_of(head, entry)  # type: ignore[arg-type]
        except UNREADABLE:
            return False

    def heads_without_journal(self, after: str) -> None:
        """Find heads of orgs that have no entry: their journals were removed."""
        orgs = self._store.journal.orgs(after=after)
        org = next(orgs, None)
        for head, problem in readable(self._store.heads.read(after=after)):
            if not isinstance(head, Head):
                self._run.note(None, None, Check.HEAD, f"not all heads can be read: {problem}; {_REPAIR}")
                return
            while org is not None and org < head.org:  # bounded: by the orgs
                org = next(orgs, None)
            if org != head.org and self._run.covers(head.org):
                self._lone_head(head)

    def _lone_head(self, head: Head) -> None:
        if self._look_up(head.org, head.seq) is None:
            message = f"there is a head of entry {head.seq}, but no journal: it was removed, or never written"
            self._run.note(head.org, None, Check.HEAD, message)

    # -- check 14

    def _topup(self, topup: _Topup) -> None:
        self._topups.append(topup)
        if len(self._topups) >= CHUNK:
            self._flush_topups()

    def _flush_topups(self) -> None:
        """Every topup holds its claim, or was undone and its claim has moved on."""
        topups, self._topups = self._topups, []
        if not topups:
            return
        holders = self._store.claims.holders(topup.session for topup in topups)
        for topup in topups:
            holder = holders.get(topup.session)
            if holder is None:
                message = f"session {topup.session!r} is credited, but not claimed by anyone"
                self._run.note(topup.org, topup.seq, Check.CLAIM, message)
            elif holder != topup.org and not self._is_booked(topup.org, f"undo:{topup.seq}"):
                message = f"session {topup.session!r} is credited here, but claimed by {holder}"
                self._run.note(topup.org, topup.seq, Check.CLAIM, message)

    def claims(self) -> None:
        """Every claim has its topup."""
        for claims in _chunks(self._store.claims.read()):
            wanted = [(org, f"session:{session}") for session, org in claims if self._run.covers(org)]
            booked = self._booked(wanted)
            for org, key in wanted:
                # A topup is appended a moment after its claim: look once more.
                if (org, key) not in booked and not self._is_booked(org, key):
                    message = f"session {key.partition(':')[2]!r} is claimed, but not credited: credit it again"
                    self._run.note(org, None, Check.CLAIM, message)

    def _booked(self, keys: list[tuple[str, str]]) -> set[tuple[str, str]]:
        try:
            return set(self._store.journal.by_keys(keys)) if keys else set()
        except UNREADABLE:
            return {key for key in keys if self._is_booked(*key)}

    def _is_booked(self, org: str, key: str) -> bool:
        try:
            return bool(self._store.journal.by_keys([(org, key)]))
        except UNREADABLE:
            return True  # there is something, and the check of the journal says what is wrong with it


class Repair(NamedTuple):
    """What `repair_heads` did: ``orgs`` looked at, heads ``mended``, and orgs whose last entry cannot be read."""

    orgs: int
    mended: int
    unreadable: list[str]


def repair_heads(store: Store, *, after: str = "", shard: Scope | None = None) -> Repair:
    """Make every head that of its org's last entry again, and touch nothing else. Safe while others write."""
    seen, mended, unreadable = 0, 0, list[str]()
    for orgs in _chunks(org for org in store.journal.orgs(after=after) if shard is None or shard(org)):
        behind, wrong = list[Head](), list[Head]()
        for org in orgs:
            try:
                _sort_out(store, org, behind, wrong)
            except UNREADABLE:
                unreadable.append(org)
        # A head that is only behind is moved forward, which cannot undo what another writer puts meanwhile.
        store.heads.put(behind)
        store.heads.replace(wrong)
        seen, mended = seen + len(orgs), mended + len(behind) + len(wrong)
    return Repair(seen, mended, unreadable)


def _sort_out(store: Store, org: str, behind: list[Head], wrong: list[Head]) -> None:
    """Add the head that ``org`` should have to ``behind`` or ``wrong``, unless it has it."""
    try:
        head = store.heads.get([org]).get(org)
        readable_head = True
    except UNREADABLE:
        head, readable_head = None, False
    tip = store.journal.tip(org)
    if tip is not None and not _is_head_of(head, tip):
        due = head_of(tip)
        (behind if readable_head and (head is None or head.seq < due.seq) else wrong).append(due)


def _is_head_of(head: Head | None, tip: Entry) -> bool:
    return _same(head, head_of(tip))


def _same(head: Head | None, other: Head) -> bool:
    # As texts, for 1 and 1.0 and true are equal.
    return head is not None and canonical_text(head._asdict()) == canonical_text(other._asdict())


def _chunks(items: Iterable[Item]) -> Iterator[list[Item]]:
    stream = iter(items)
    while chunk := list(islice(stream, CHUNK)):  # bounded: by the items
        yield chunk
