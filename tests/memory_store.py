"""A store in memory: the promises of `meterctl.core.ports` in the plainest way, for tests that make thousands of them.

Entries are kept as text, so nobody can change what is stored by changing what was read.
"""

import json
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from meterctl.core.domain.canonical import canonical_text
from meterctl.core.errors import Damaged, raise_if_damaged
from meterctl.core.model import Claim, Entry, Instant, PlanVersion
from meterctl.core.ports import (
    Clock,
    ClockMark,
    DueOrg,
    EntryFilter,
    EntryText,
    Head,
    Lease,
    Observation,
    Recorded,
    StoredDocument,
)
from meterctl.core.stores.border import claim_of, entry_of, head_of


class MemoryJournal:
    def __init__(self) -> None:
        self._texts: dict[str, dict[int, str]] = {}
        self._seqs: dict[tuple[str, str], int] = {}
        self._lock = threading.Lock()

    def append(self, entries: Sequence[Entry]) -> int:
        with self._lock:
            for count, entry in enumerate(entries):
                name = (entry["org"], entry["key"])
                if entry["seq"] in self._texts.get(entry["org"], {}) or name in self._seqs:
                    return count
                self._texts.setdefault(entry["org"], {})[entry["seq"]] = canonical_text(entry)
                self._seqs[name] = entry["seq"]
            return len(entries)

    def tip(self, org: str) -> Entry | None:
        return self.by_seq(org, max(self._texts.get(org, {0: ""})))

    def tips(self, orgs: Iterable[str]) -> dict[str, Entry]:
        return {org: entry for org in orgs if (entry := self.tip(org)) is not None}

    def grown(self, seqs: Mapping[str, int]) -> set[str]:
        return {org for org, seq in seqs.items() if seq + 1 in self._texts.get(org, {})}

    def by_keys(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Entry]:
        found = {name: self._texts[name[0]][self._seqs[name]] for name in keys if name in self._seqs}
        return {(org, key): entry_of(json.loads(text), org, key=key) for (org, key), text in found.items()}

    def starting(self, orgs: Sequence[str], prefix: str) -> Iterator[Entry]:
        return (entry for org in orgs for entry in self.read(org) if entry["key"].startswith(prefix))

    def by_seq(self, org: str, seq: int) -> Entry | None:
        text = self._texts.get(org, {}).get(seq)
        return None if text is None else entry_of(json.loads(text), org, seq=seq)

    def read(self, org: str, where: EntryFilter = EntryFilter(), *, newest_first: bool = False) -> Iterator[Entry]:
        texts = self._texts.get(org, {})
        for seq in sorted(texts, reverse=newest_first):
            entry = entry_of(json.loads(texts[seq]), org, seq=seq)
            if _matches(entry, where):
                yield entry

    def alerts(self, since: Instant, *, org: str | None = None) -> Iterator[Entry]:
        entries = (entry for name in (self.orgs() if org is None else [org]) for entry in self.read(name))
        found = [entry for entry in entries if _is_alert(entry) and entry["at"] >= since]
        return iter(sorted(found, key=lambda entry: (entry["at"], entry["org"], entry["seq"])))

    def alerts_recorded(self, after: Recorded, until: Instant) -> Iterator[Entry]:
        placed = [(Recorded(entry["recorded_at"], entry["org"], entry["seq"]), entry) for entry in self.scan()]
        found = [(place, entry) for place, entry in placed if _is_alert(entry)]
        return iter([entry for place, entry in sorted(found) if place > after and place.recorded_at < until])

    def scan(self, *, after: str = "") -> Iterator[Entry]:
        return (entry for org in self.orgs(after=after) for entry in self.read(org))

    def texts(self, org: str | None = None) -> Iterator[EntryText]:
        for name in self.orgs() if org is None else [org]:
            for seq, text in sorted(self._texts.get(name, {}).items()):
                yield EntryText(name, seq, text.encode())

    def documents(self, org: str, *, seq: int | None = None) -> Iterator[StoredDocument]:
        texts = self._texts.get(org, {})
        return (StoredDocument(json.loads(texts[number])) for number in sorted(texts) if seq in (None, number))

    def strays(self) -> Iterator[Damaged]:
        return iter(())

    def orgs(self, *, after: str = "") -> Iterator[str]:
        return iter([org for org in sorted(self._texts) if org > after])


def _is_alert(entry: Entry) -> bool:
    return "alerts" in entry or "low" in entry


def _matches(entry: Entry, where: EntryFilter) -> bool:
    return (
        (where.before is None or entry["seq"] < where.before)
        and (where.after is None or entry["seq"] > where.after)
        and (not where.kinds or entry["kind"] in where.kinds)
        and (not where.moving or entry["amount"] != 0)
        and (where.session is None or entry.get("session") == where.session)
    )


class MemoryHeads:
    def __init__(self) -> None:
        self._heads: dict[str, Head] = {}

    def put(self, heads: Sequence[Head]) -> None:
        for head in heads:
            known = self._heads.get(head.org)
            if known is None or head.seq >= known.seq:
                self._heads[head.org] = head

    def get(self, orgs: Iterable[str]) -> dict[str, Head | Damaged]:
        return {org: head_of(self._heads[org]._asdict()) for org in orgs if org in self._heads}

    def due(self, at: Instant, *, after: DueOrg | None = None, limit: int = 1000) -> list[DueOrg]:
        waiting = [DueOrg(head.next_due, head.org) for head in self._heads.values() if head.next_due is not None]
        return sorted(due for due in waiting if due.since <= at and (after is None or due > after))[:limit]

    def ahead(self, of: Instant, limit: int) -> list[tuple[str, Instant]]:
        return [(org, self._heads[org].at) for org in sorted(self._heads) if self._heads[org].at > of][:limit]

    def read(self, *, after: str = "") -> Iterator[Head | Damaged]:
        return iter([head_of(self._heads[org]._asdict()) for org in sorted(self._heads) if org > after])

    def replace(self, heads: Sequence[Head]) -> None:
        self._heads |= {head.org: head for head in heads}


class MemoryClaims:
    def __init__(self) -> None:
        self._claims: dict[str, Claim] = {}
        self._lock = threading.Lock()

    def take(self, wanted: Sequence[Claim]) -> dict[str, Claim]:
        with self._lock:
            return {claim.name: self._claims.setdefault(claim.name, claim) for claim in wanted}

    def holders(self, names: Iterable[str]) -> dict[str, Claim]:
        claims = (raise_if_damaged(claim_of(*self._claims[name])) for name in names if name in self._claims)
        return {claim.name: claim for claim in claims}

    def move(self, holder: Claim, to: Claim) -> bool:
        with self._lock:
            if self._claims.get(holder.name) != holder:
                return False
            self._claims[holder.name] = to
            return True

    def read(self, *, after: str = "") -> Iterator[Claim | Damaged]:
        return iter([claim_of(*claim) for name, claim in sorted(self._claims.items()) if name > after])


class MemoryPlans:
    def __init__(self) -> None:
        self._versions: dict[tuple[str, int], PlanVersion] = {}

    def add(self, version: PlanVersion) -> bool:
        name = (version.plan, version.version)
        if name in self._versions:
            return False
        self._versions[name] = version
        return True

    def all(self) -> list[PlanVersion | Damaged]:
        return [self._versions[name] for name in sorted(self._versions)]


class MemoryLocks:
    def __init__(self) -> None:
        self._leases: dict[str, Lease] = {}

    def acquire(self, lease: Lease, now: Instant) -> Lease:
        held = self._leases.get(lease.name)
        if held is not None and held.holder == lease.holder:
            lease = lease._replace(acquired_at=held.acquired_at)
        elif held is not None and now < held.expires_at <= lease.latest:
            return held
        self._leases[lease.name] = lease
        return lease

    def release(self, name: str, holder: str) -> bool:
        held = self._leases.get(name)
        if held is None or held.holder != holder:
            return False
        del self._leases[name]
        return True

    def all(self) -> list[Lease | Damaged]:
        return [self._leases[name] for name in sorted(self._leases)]


class MemoryClock:
    """Keeps a mark at once: here nothing else is written with it."""

    has_server = False

    def __init__(self) -> None:
        self._mark: ClockMark | None = None

    def server_time(self) -> Instant | None:
        return None

    def mark(self) -> ClockMark | None:
        return self._mark

    def leave_mark(self, mark: ClockMark) -> None:
        known = self._mark
        if known is None or mark.at > known.at or (known.pinned and not mark.pinned):
            self._mark = ClockMark(mark.at, mark.pinned and (known is None or known.pinned))


class MemoryStore:
    """All five repositories."""

    def __init__(self) -> None:
        self.journal = MemoryJournal()
        self.heads = MemoryHeads()
        self.claims = MemoryClaims()
        self.plans = MemoryPlans()
        self.locks = MemoryLocks()
        self.clock = MemoryClock()

    def together(self) -> AbstractContextManager[object]:
        return nullcontext()

    def require_ours(self) -> None:
        """Nothing else can be in its place."""

    def init(self) -> list[str]:
        return []

    def examine(self, clock: Clock) -> list[Observation]:  # noqa: ARG002 - the signature is given
        return [Observation("store", True, "in memory")]

    def roles(self) -> dict[str, dict[str, Any]]:
        return {}

    def damage(self) -> list[str] | None:
        return None

    def describe(self) -> str:
        return "memory:"

    def close(self) -> None:
        """Nothing to give back: what is stored stays as long as the object."""
