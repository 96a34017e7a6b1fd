"""Verifying what a store holds: journals, heads and claims."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from itertools import chain, islice
from typing import NamedTuple

from meterctl.core.booking.chunk_decider import FUTURE_MS
from meterctl.core.booking.head_cache import head_of
from meterctl.core.domain.instants import add_millis
from meterctl.core.errors import Damaged, StoreDamaged
from meterctl.core.model import Claim, Entry, Instant
from meterctl.core.ports import Clock, Head, Store
from meterctl.core.results import Verification
from meterctl.core.verify.checks import Check
from meterctl.core.verify.report import Checked, Doubt, Item, OnTip, Progress, Run, Scope, Tip, readable
from meterctl.core.verify.seal import Seal
from meterctl.core.verify.second_look import REPAIR, head_of_entry, is_booked, is_right, settle

#: Orgs, claims or topups that are looked up together.
CHUNK = 500

#: Entries that another process checks at a time, as far as heads tell how many there are.
PART = 5000

_REPAIR_CLAIMS = "meterctl verify --all --repair-claims mends it"


def verify_org(
    store: Store,
    org: str,
    *,
    seal: Seal | None = None,
    progress: Progress | None = None,
    on_tip: OnTip | None = None,
    clock: Clock | None = None,
) -> Verification:
    """Check the journal of ``org``, its head, and that each of its topups holds its claim. Writes nothing. ``clock``
    as in `verify_all`."""
    run = Run(progress=progress, on_tip=on_tip, seal=seal, scope=lambda name: name == org, latest=latest_at(clock))
    with _medium(store, run):
        _StoreCheck(store, run).orgs([org])
    settle(store, run, clock)
    return run.done()


def latest_at(clock: Clock | None) -> Instant | None:
    """Return the latest time at which an entry may take effect: as far ahead as a caller's clock may be."""
    return None if clock is None else add_millis(clock.now(), FUTURE_MS)


class StorePart(NamedTuple):
    """Orgs to check, with what a seal says of them, and the latest time at which an entry may take effect."""

    orgs: list[str]
    seal: Seal | None
    latest: Instant | None = None


#: Has parts checked, by other processes say, and answers in order.
Checker = Callable[[Iterable[StorePart]], Iterator[Checked]]


def check_part(store: Store, part: StorePart, progress: Progress | None = None) -> Checked:
    """Check the orgs of ``part``: their journals and heads, and that each topup holds its claim. Writes nothing."""
    tips: list[Tip] = []
    run = Run(progress=progress, on_tip=lambda *tip: tips.append(tip), seal=part.seal, latest=part.latest)
    _StoreCheck(store, run).orgs(part.orgs)
    result = run.done()
    run.group_by_org()
    return Checked(result, tips, run.doubts)


def verify_all(
    store: Store,
    *,
    after: str = "",
    shard: Scope | None = None,
    seal: Seal | None = None,
    progress: Progress | None = None,
    on_tip: OnTip | None = None,
    checker: Checker | None = None,
    clock: Clock | None = None,
) -> Verification:
    """Check every org from behind ``after`` on that ``shard`` takes: journals, heads and claims. Writes nothing, and
    can run while others write. Memory depends on neither the length of journals nor the number of orgs.

    ``checker`` checks the orgs in place of this process. With a ``clock`` no entry may lie ahead of now (check 17),
    and writers get time to catch up with their heads and claims; without, both are left out.
    """

    def scope(org: str) -> bool:
        return org > after and (shard is None or shard(org))

    latest = latest_at(clock)
    run = Run(progress=progress, on_tip=on_tip, seal=seal, scope=scope)
    check = checker or partial(_checked_here, store, run)
    names = readable(store.journal.orgs(after=after), partial(run.note, None, None, Check.FORM))
    orgs = _chunks(filter(scope, names), CHUNK)
    if checker is not None:
        orgs = (part for some in orgs for part in _parts(store, some))
    with _medium(store, run):
        for checked in check(StorePart(some, None if seal is None else seal.part(some), latest) for some in orgs):
            run.take(checked)
    rest = _StoreCheck(store, run)
    rest.heads_without_journal(after)
    rest.claims()
    rest.strangers()
    settle(store, run, clock)
    result = run.done()
    run.group_by_org()
    return result


def _parts(store: Store, orgs: list[str]) -> Iterator[list[str]]:
    """Split ``orgs`` into parts of about `PART` entries."""
    with suppress(StoreDamaged):  # said where the journals are checked
        heads = store.heads.get(orgs)
        sizes = {org: head.seq for org, head in heads.items() if not isinstance(head, Damaged)}
        part, entries = list[str](), 0
        for org in orgs:
            part.append(org)
            entries += sizes.get(org, 1)
            if entries >= PART:
                yield part
                part, entries = [], 0
        orgs = part
    if orgs:
        yield orgs


@contextmanager
def _medium(store: Store, run: Run) -> Iterator[None]:
    """Look at the file below, where there is one: an index that is wrong may hide what the checks would find. SQLite
    does that outside of Python's lock, so it goes on beside the checks in the block."""
    pool = ThreadPoolExecutor(1, "meterctl-medium")
    looking = pool.submit(store.damage)
    pool.shutdown(wait=False)
    yield
    for problem in looking.result() or ():
        run.note(None, None, Check.FORM, f"the store is damaged: {problem}")


def _checked_here(store: Store, run: Run, parts: Iterable[StorePart]) -> Iterator[Checked]:
    return (check_part(store, part, run.tell) for part in parts)


class _Topup(NamedTuple):
    """A topup with its key, and every name of its payment."""

    org: str
    seq: int
    session: str
    names: tuple[str, ...]

    @classmethod
    def of(cls, entry: Entry) -> "_Topup":
        return cls(entry["org"], entry["seq"], entry["session"], (entry["session"], *entry["names"]))


class _StoreCheck:
    """Journals of a store with checks 13 and 14, which need more than the journal."""

    def __init__(self, store: Store, run: Run) -> None:
        self._store = store
        self._run = run
        self._topups: list[_Topup] = []

    def orgs(self, orgs: list[str]) -> None:
        """Check these orgs. Heads are read after the journals: what is booked meanwhile can only put them ahead."""
        tips = {org: self._journal(org) for org in orgs}
        heads = self._heads(orgs)
        for org, tip in tips.items():
            head = heads.get(org)
            if isinstance(head, Damaged):
                self._run.note(org, None, Check.HEAD, f"{head.message}; {REPAIR}")
            elif tip is not None:
                self._head(tip, head)
            elif head is not None:
                self._lone_head(head)
        self._flush_topups()

    def _journal(self, org: str) -> Entry | None:
        """Check the journal of ``org``; its last entry, if it can be read."""
        journal, run = self._store.journal, self._run
        check = run.start(org, partial(self._look_up, org))
        for stored in readable(journal.documents(org), lambda problem: run.entry(check.unreadable(problem))):
            run.entry(check.feed(*stored))
            tip = check.tip
            if tip is not None and tip["kind"] == "topup":
                self._topup(_Topup.of(tip))
        run.end(check)
        return check.tip

    def _look_up(self, org: str, seq: int) -> object:
        note = partial(self._run.note, org, seq, Check.FORM)
        stored = next(readable(self._store.journal.documents(org, seq=seq), note), None)
        return None if stored is None else stored.content

    # -- check 13

    def _heads(self, orgs: list[str]) -> Mapping[str, Head | Damaged]:
        """The heads of these orgs, damaged ones too."""
        try:
            return self._store.heads.get(orgs)
        except StoreDamaged as problem:
            if len(orgs) == 1:
                return {orgs[0]: Damaged(problem.message, org=orgs[0])}
        return {org: head for one in orgs for org, head in self._heads([one]).items()}

    def _head(self, tip: Entry, head: Head | None) -> None:
        org, seq = tip["org"], tip["seq"]
        due = head_of_entry(tip)
        if due is None or head == due:
            return  # what is wrong with an entry that makes no head is found already
        if head is None or head.seq < seq or not is_right(self._store, head):
            self._run.doubt(Doubt(org, seq))

    def heads_without_journal(self, after: str) -> None:
        """Find heads of orgs that have no entry: their journals were removed."""
        orgs = readable(self._store.journal.orgs(after=after), lambda _: None)  # told when the journals were checked
        org = next(orgs, None)
        note = partial(self._run.note, None, None, Check.HEAD)
        for head in readable(self._store.heads.read(after=after), note):
            while org is not None and head.org is not None and org < head.org:  # bounded: by the orgs
                org = next(orgs, None)
            if isinstance(head, Damaged):
                if head.org is None or head.org != org:  # those of orgs were found beside their journals
                    note(head.message)
            elif org != head.org and self._run.covers(head.org):
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
        """Every topup holds its claims, one by each name, or was undone and its claims have moved on."""
        topups, self._topups = self._topups, []
        if not topups:
            return
        holders = self._holders([name for topup in topups for name in topup.names])
        for topup in topups:
            for name in topup.names:
                self._claim_of(topup, name, holders.get(name))

    def _claim_of(self, topup: _Topup, name: str, claim: Claim | None) -> None:
        if claim == Claim(name, topup.org, topup.session):
            return
        if claim is None:
            message = f"the payment {name!r} is credited, but not claimed by anyone; {_REPAIR_CLAIMS}"
        elif is_booked(self._store, topup.org, f"undo:session:{topup.session}"):
            return
        else:
            message = f"the payment {name!r} is credited here, but claimed by {claim.org} as {claim.session!r}"
        self._run.note(topup.org, topup.seq, Check.CLAIM, message)

    def _holders(self, names: list[str]) -> Mapping[str, Claim]:
        """Return the claims on these names; one that cannot be read is nobody's."""
        try:
            return self._store.claims.holders(names)
        except StoreDamaged:
            if len(names) == 1:
                return {}
        return {name: claim for one in names for name, claim in self._holders([one]).items()}

    def claims(self) -> None:
        """Every claim has its topup."""
        note = partial(self._run.note, None, None, Check.CLAIM)
        for claims in _chunks(self._sound_claims(note), CHUNK):
            self._credited(claims)

    def _sound_claims(self, note: Callable[[str], None]) -> Iterator[Claim]:
        for claim in readable(self._store.claims.read(), note):
            if isinstance(claim, Damaged):
                note(claim.message)
            else:
                yield claim

    def _credited(self, claims: Sequence[Claim]) -> None:
        wanted = [(claim.org, f"session:{claim.session}") for claim in claims if self._run.covers(claim.org)]
        booked = self._booked(wanted)
        for org, key in dict.fromkeys(wanted):
            if (org, key) not in booked:
                self._run.doubt(Doubt(org, 0, key))

    def _booked(self, keys: list[tuple[str, str]]) -> set[tuple[str, str]]:
        try:
            return set(self._store.journal.by_keys(keys)) if keys else set()
        except StoreDamaged:
            return {key for key in keys if is_booked(self._store, *key)}

    # -- what is nobody's

    def strangers(self) -> None:
        """Tell of every document that is no org's and none of ours: nothing else here would see it."""
        store = self._store
        documents: list[Iterable[object]] = [store.journal.strays(), store.plans.all(), store.locks.all()]
        for document in chain.from_iterable(documents):
            if isinstance(document, Damaged):
                self._run.note(document.org, None, Check.FORM, document.message)


class Repair(NamedTuple):
    """What `repair_heads` did: ``orgs`` looked at, heads ``mended``, and orgs whose last entry cannot be read."""

    orgs: int
    mended: int
    unreadable: list[str]


def repair_heads(store: Store, *, after: str = "", shard: Scope | None = None) -> Repair:
    """Make every head that of its org's last entry again, and touch nothing else. Safe while others write."""
    seen, mended, unreadable = 0, 0, list[str]()
    for orgs in _chunks((org for org in store.journal.orgs(after=after) if shard is None or shard(org)), CHUNK):
        behind, wrong = list[Head](), list[Head]()
        for org in orgs:
            try:
                _sort_out(store, org, behind, wrong)
            except StoreDamaged:
                unreadable.append(org)
        # A head that is only behind is moved forward, which cannot undo what another writer puts meanwhile.
        store.heads.put(behind)
        store.heads.replace(wrong)
        seen, mended = seen + len(orgs), mended + len(behind) + len(wrong)
    return Repair(seen, mended, unreadable)


def _sort_out(store: Store, org: str, behind: list[Head], wrong: list[Head]) -> None:
    """Add the head that ``org`` should have to ``behind`` or ``wrong``, unless it has it."""
    head = store.heads.get([org]).get(org)
    tip = store.journal.tip(org)
    if tip is None:
        return
    due = head_of(tip)
    if isinstance(head, Damaged):
        wrong.append(due)
    elif head != due:
        (behind if head is None or head.seq < due.seq else wrong).append(due)


def _chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    stream = iter(items)
    while chunk := list(islice(stream, size)):  # bounded: by the items
        yield chunk
