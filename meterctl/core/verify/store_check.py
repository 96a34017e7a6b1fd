"""Verify a store: journals, heads and claims."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from itertools import islice
from typing import NamedTuple

from meterctl.core.booking.head_cache import head_of
from meterctl.core.errors import Damaged, StoreDamaged
from meterctl.core.model import Claim, Entry, Instant
from meterctl.core.ports import Clock, Head, Store
from meterctl.core.results import Verification
from meterctl.core.verify.checks import Check
from meterctl.core.verify.report import Checked, Doubt, Item, OnTip, Progress, Run, Tip, readable
from meterctl.core.verify.seal import Seal
from meterctl.core.verify.second_look import REPAIR, head_of_entry, is_booked, is_right, latest_at, settle

#: Orgs, claims or topups to look up together.
CHUNK = 500

#: Entries to give to a process at a time, estimated from the heads. The last parts decide how long the others wait.
PART = 1000

_REPAIR_CLAIMS = "to repair it: meterctl verify --all --repair-claims"


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
    run = Run(progress=progress, on_tip=on_tip, seal=seal, org=org, latest=latest_at(clock))
    with _medium(store, run):
        _StoreCheck(store, run).orgs([org])
    settle(store, run, clock)
    return run.done()


class StorePart(NamedTuple):
    """Orgs to check, with their seal, and the latest time at which an entry may take effect."""

    orgs: list[str]
    seal: Seal | None
    latest: Instant | None = None


#: Checks parts, for example in other processes, and yields the results in order.
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
    seal: Seal | None = None,
    progress: Progress | None = None,
    on_tip: OnTip | None = None,
    checker: Checker | None = None,
    clock: Clock | None = None,
) -> Verification:
    """Check every org: journals, heads and claims.

    Writes nothing, and can run while others write. Memory depends on neither the length of journals nor the number of
    orgs.

    ``checker`` checks the orgs in place of this process. With a ``clock`` no entry may lie ahead of now (check 17),
    and writers get time to catch up with their heads and claims; without, both are left out.
    """
    run = Run(progress=progress, on_tip=on_tip, seal=seal)
    check = checker or partial(_checked_here, store, run)
    names = readable(store.journal.orgs(), partial(run.note, None, None, Check.FORM))
    orgs = _chunks(names, CHUNK)
    if checker is not None:
        orgs = (part for some in orgs for part in _parts(store, some))
    with _medium(store, run):
        # The time of each part anew, because a long run passes entries that were booked after its beginning.
        parts = (StorePart(some, None if seal is None else seal.part(some), latest_at(clock)) for some in orgs)
        for checked in check(parts):
            run.take(checked)
    rest = _StoreCheck(store, run)
    rest.heads_without_journal()
    rest.claims()
    rest.strangers()
    settle(store, run, clock)
    result = run.done()
    run.group_by_org()
    return result


def _parts(store: Store, orgs: list[str]) -> Iterator[list[str]]:
    """Split ``orgs`` into parts of about `PART` entries."""
    with suppress(StoreDamaged):  # the checks of the journals report it
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
    """Check the store's file, if any, while the block runs: a wrong index may hide findings.

    SQLite does this outside of Python's lock, in parallel with the checks of the block.
    """
    pool = ThreadPoolExecutor(1, "meterctl-medium")
    damage = pool.submit(store.damage)
    pool.shutdown(wait=False)
    yield
    for problem in damage.result() or ():
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
        """Check these orgs. Heads are read after the journals, so that later writes can only put them ahead."""
        tips = {org: self._check_journal(org) for org in orgs}
        heads = self._heads(orgs)
        for org, tip in tips.items():
            head = heads.get(org)
            if isinstance(head, Damaged):
                self._run.note(org, None, Check.HEAD, f"{head.message}; {REPAIR}")
            elif tip is not None:
                self._check_head(tip, head)
            elif head is not None:
                self._check_lone_head(head)
        self._flush_topups()

    def _check_journal(self, org: str) -> Entry | None:
        """Check the journal of ``org``; return its last entry, if it can be read."""
        journal, run = self._store.journal, self._run
        check = run.start(org, partial(self._look_up, org))
        for content in readable(journal.documents(org), lambda problem: run.entry(check.unreadable(problem))):
            run.entry(check.feed(*content))
            tip = check.tip
            if tip is not None and tip["kind"] == "topup":
                self._add_topup(_Topup.of(tip))
        run.end(check)
        return check.tip

    def _look_up(self, org: str, seq: int) -> object:
        note = partial(self._run.note, org, seq, Check.FORM)
        document = next(readable(self._store.journal.documents(org, seq=seq), note), None)
        return None if document is None else document.content

    # -- check 13

    def _heads(self, orgs: list[str]) -> Mapping[str, Head | Damaged]:
        """Return the heads of these orgs, damaged ones too."""
        try:
            return self._store.heads.get(orgs)
        except StoreDamaged as problem:
            if len(orgs) == 1:
                return {orgs[0]: Damaged(problem.message, org=orgs[0])}
        return {org: head for one in orgs for org, head in self._heads([one]).items()}

    def _check_head(self, tip: Entry, head: Head | None) -> None:
        org, seq = tip["org"], tip["seq"]
        expected = head_of_entry(tip)
        if expected is None or head == expected:
            return  # the check of the journal has reported a malformed entry
        if head is None or head.seq < seq or not is_right(self._store, head):
            self._run.doubt(Doubt(org, seq))

    def heads_without_journal(self) -> None:
        """Report heads of orgs without entries: their journals were removed."""
        orgs = readable(self._store.journal.orgs(), lambda _: None)  # the checks of the journals reported it
        org = next(orgs, None)
        note = partial(self._run.note, None, None, Check.HEAD)
        for head in readable(self._store.heads.read(), note):
            while org is not None and head.org is not None and org < head.org:  # bounded: by the orgs
                org = next(orgs, None)
            if isinstance(head, Damaged):
                if head.org is None or head.org != org:  # heads of known orgs were checked with their journals
                    note(head.message)
            elif org != head.org:
                self._check_lone_head(head)

    def _check_lone_head(self, head: Head) -> None:
        if self._look_up(head.org, head.seq) is None:
            message = f"there is a head of entry {head.seq}, but no journal: it was removed or never written"
            self._run.note(head.org, None, Check.HEAD, message)

    # -- check 14

    def _add_topup(self, topup: _Topup) -> None:
        self._topups.append(topup)
        if len(self._topups) >= CHUNK:
            self._flush_topups()

    def _flush_topups(self) -> None:
        """Check that every topup holds a claim for each of its names, or was undone."""
        topups, self._topups = self._topups, []
        if not topups:
            return
        holders = self._holders([name for topup in topups for name in topup.names])
        for topup in topups:
            for name in topup.names:
                self._check_claim(topup, name, holders.get(name))

    def _check_claim(self, topup: _Topup, name: str, claim: Claim | None) -> None:
        if claim in (Claim(name, topup.org, topup.session), Claim(name, topup.org, "")):
            return
        if claim is None:
            message = f"the payment {name!r} is credited, but not claimed; {_REPAIR_CLAIMS}"
        elif is_booked(self._store, topup.org, f"undo:session:{topup.session}"):
            return
        else:
            message = f"the payment {name!r} is credited here, but claimed by {claim.org} as {claim.session!r}"
        self._run.note(topup.org, topup.seq, Check.CLAIM, message)

    def _holders(self, names: list[str]) -> Mapping[str, Claim]:
        """Return the claims on these names, without the unreadable ones."""
        try:
            return self._store.claims.holders(names)
        except StoreDamaged:
            if len(names) == 1:
                return {}
        return {name: claim for one in names for name, claim in self._holders([one]).items()}

    def claims(self) -> None:
        """Check that every claim has its topup."""
        note = partial(self._run.note, None, None, Check.CLAIM)
        for claims in _chunks(self._sound_claims(note), CHUNK):
            self._check_credited(claims)

    def _sound_claims(self, note: Callable[[str], None]) -> Iterator[Claim]:
        for claim in readable(self._store.claims.read(), note):
            if isinstance(claim, Damaged):
                note(claim.message)
            else:
                yield claim

    def _check_credited(self, claims: Sequence[Claim]) -> None:
        keys = [(claim.org, key) for claim in claims if (key := claim.topup_key) is not None]
        existing = self._existing(keys)
        for org, key in dict.fromkeys(keys):
            if (org, key) not in existing:
                self._run.doubt(Doubt(org, 0, key))

    def _existing(self, keys: list[tuple[str, str]]) -> set[tuple[str, str]]:
        try:
            return set(self._store.journal.by_keys(keys)) if keys else set()
        except StoreDamaged:
            return {key for key in keys if is_booked(self._store, *key)}

    # -- foreign documents

    def strangers(self) -> None:
        """Report every foreign document and every one without an org, which no other check reads."""
        store = self._store
        reads: list[Callable[[], Iterable[object]]] = [store.journal.strays, store.plans.all, store.locks.all]
        for read in reads:
            for document in readable(_read(read), partial(self._run.note, None, None, Check.FORM)):
                if isinstance(document, Damaged):
                    self._run.note(document.org, None, Check.FORM, document.message)


def _read(read: Callable[[], Iterable[object]]) -> Iterator[object]:
    """Yield what ``read`` returns, and begin to read with the first item only."""
    yield from read()


class Repair(NamedTuple):
    """The result of a repair: ``orgs`` checked, heads or claims ``mended``, and orgs with an unreadable entry."""

    orgs: int
    mended: int
    unreadable: list[str]


def repair_heads(store: Store) -> Repair:
    """Rebuild every wrong head from its org's last entry; change nothing else. Safe while others write."""
    orgs_checked, repairs, unreadable = 0, 0, list[str]()
    for orgs in _chunks(store.journal.orgs(), CHUNK):
        behind, wrong = list[Head](), list[Head]()
        for org in orgs:
            try:
                _sort_out(store, org, behind, wrong)
            except StoreDamaged:
                unreadable.append(org)
        # `put` only moves a head forward, so it cannot overwrite a newer one of another writer.
        store.heads.put(behind)
        store.heads.replace(wrong)
        orgs_checked, repairs = orgs_checked + len(orgs), repairs + len(behind) + len(wrong)
    return Repair(orgs_checked, repairs, unreadable)


def _sort_out(store: Store, org: str, behind: list[Head], wrong: list[Head]) -> None:
    """Add the right head of ``org`` to ``behind`` or ``wrong``, unless the store has it."""
    head = store.heads.get([org]).get(org)
    tip = store.journal.tip(org)
    if tip is None:
        return
    expected = head_of(tip)
    if isinstance(head, Damaged):
        wrong.append(expected)
    elif head != expected:
        (behind if head is None or head.seq < expected.seq else wrong).append(expected)


def _chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    stream = iter(items)
    while chunk := list(islice(stream, size)):  # bounded: by the items
        yield chunk
