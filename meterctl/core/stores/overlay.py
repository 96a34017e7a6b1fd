"""A store on top of another: it reads both, and keeps all writes to itself.

A dry run books on it, so it runs the same code as the real run and gives the same result.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from meterctl.core.errors import Damaged, sound, undamaged
from meterctl.core.model import Claim, Entry, Instant, PlanVersion
from meterctl.core.ports import (
    Claims,
    Clock,
    DueOrg,
    EntryFilter,
    EntryText,
    Head,
    Heads,
    Journal,
    Locks,
    Observation,
    Plans,
    Recorded,
    Store,
    StoreClock,
    StoredDocument,
)


class OverlayStore:
    """Reads ``below`` and ``layer``, an empty store of any kind; writes only to ``layer``."""

    def __init__(self, below: Store, layer: Store) -> None:
        self._below = below
        self._layer = layer
        self.journal: Journal = _OverlayJournal(below.journal, layer.journal)
        self.heads: Heads = _OverlayHeads(below.heads, layer.heads)
        self.claims: Claims = _OverlayClaims(below.claims, layer.claims)
        self.plans: Plans = _OverlayPlans(below.plans, layer.plans)
        self.locks: Locks = layer.locks
        self.clock: StoreClock = below.clock

    def together(self) -> AbstractContextManager[object]:
        return self._layer.together()

    def require_ours(self) -> None:
        self._below.require_ours()

    def init(self) -> list[str]:
        return []

    def examine(self, clock: Clock) -> list[Observation]:
        return self._below.examine(clock)

    def roles(self) -> dict[str, dict[str, Any]]:
        return self._below.roles()

    def damage(self) -> list[str] | None:
        return self._below.damage()

    def describe(self) -> str:
        return f"{self._below.describe()} (dry run)"

    def close(self) -> None:
        self._layer.close()


class _OverlayJournal:
    def __init__(self, below: Journal, layer: Journal) -> None:
        self._below = below
        self._layer = layer

    def append(self, entries: Sequence[Entry]) -> int:
        return self._layer.append(entries)

    def tip(self, org: str) -> Entry | None:
        return self._layer.tip(org) or self._below.tip(org)

    def tips(self, orgs: Iterable[str]) -> dict[str, Entry]:
        names = list(orgs)
        return self._below.tips(names) | self._layer.tips(names)

    def grown(self, seqs: Mapping[str, int]) -> set[str]:
        return self._below.grown(seqs) | self._layer.grown(seqs)

    def by_keys(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Entry]:
        pairs = list(keys)
        return self._below.by_keys(pairs) | self._layer.by_keys(pairs)

    def starting(self, orgs: Sequence[str], prefix: str) -> Iterator[Entry]:
        yield from self._below.starting(orgs, prefix)
        yield from self._layer.starting(orgs, prefix)

    def by_seq(self, org: str, seq: int) -> Entry | None:
        return self._layer.by_seq(org, seq) or self._below.by_seq(org, seq)

    def read(self, org: str, where: EntryFilter = EntryFilter(), *, newest_first: bool = False) -> Iterator[Entry]:
        # The layer's entries are newer than all entries below, so the two never interleave.
        parts = (self._layer, self._below) if newest_first else (self._below, self._layer)
        for part in parts:
            yield from part.read(org, where, newest_first=newest_first)

    def alerts(self, since: Instant, *, org: str | None = None) -> Iterator[Entry]:
        return self._below.alerts(since, org=org)

    def alerts_recorded(self, after: Recorded, until: Instant) -> Iterator[Entry]:
        return self._below.alerts_recorded(after, until)

    def scan(self, *, after: str = "") -> Iterator[Entry]:
        return (entry for org in self.orgs(after=after) for entry in self.read(org))

    def texts(self, org: str | None = None) -> Iterator[EntryText]:
        for name in [org] if org is not None else self.orgs():
            yield from self._below.texts(name)
            yield from self._layer.texts(name)

    def documents(self, org: str, *, seq: int | None = None) -> Iterator[StoredDocument]:
        yield from self._below.documents(org, seq=seq)
        yield from self._layer.documents(org, seq=seq)

    def strays(self) -> Iterator[Damaged]:
        return self._below.strays()

    def orgs(self, *, after: str = "") -> Iterator[str]:
        return iter(sorted({*self._below.orgs(after=after), *self._layer.orgs(after=after)}))


class _OverlayHeads:
    def __init__(self, below: Heads, layer: Heads) -> None:
        self._below = below
        self._layer = layer

    def put(self, heads: Sequence[Head]) -> None:
        self._layer.put(heads)

    def replace(self, heads: Sequence[Head]) -> None:
        self._layer.replace(heads)

    def get(self, orgs: Iterable[str]) -> dict[str, Head | Damaged]:
        names = list(orgs)
        return self._below.get(names) | self._layer.get(names)

    def due(self, at: Instant, *, after: DueOrg | None = None, limit: int = 1000) -> list[DueOrg]:
        return self._below.due(at, after=after, limit=limit)

    def ahead(self, of: Instant, limit: int) -> list[tuple[str, Instant]]:
        return self._below.ahead(of, limit)

    def read(self, *, after: str = "") -> Iterator[Head | Damaged]:
        return self._below.read(after=after)


class _OverlayClaims:
    def __init__(self, below: Claims, layer: Claims) -> None:
        self._below = below
        self._layer = layer

    def take(self, requested: Sequence[Claim]) -> dict[str, Claim]:
        known = self.holders([claim.name for claim in requested])
        free = [claim for claim in requested if claim.name not in known]
        return known | self._layer.take(free)

    def holders(self, names: Iterable[str]) -> dict[str, Claim]:
        requested = list(names)
        return self._below.holders(requested) | self._layer.holders(requested)

    def move(self, holder: Claim, to: Claim) -> bool:
        if self.holders([holder.name]).get(holder.name) != holder:
            return False
        self._layer.take([holder])
        return self._layer.move(holder, to)

    def read(self, *, after: str = "") -> Iterator[Claim | Damaged]:
        upper = undamaged(self._layer.read(after=after))
        newer = next(upper, None)
        for claim in self._below.read(after=after):
            if isinstance(claim, Damaged):
                yield claim
                continue
            while newer is not None and newer.name < claim.name:  # bounded: by the layer
                yield newer
                newer = next(upper, None)
            if newer is not None and newer.name == claim.name:
                yield newer
                newer = next(upper, None)
            else:
                yield claim
        if newer is not None:
            yield newer
            yield from upper


class _OverlayPlans:
    def __init__(self, below: Plans, layer: Plans) -> None:
        self._below = below
        self._layer = layer

    def add(self, version: PlanVersion) -> bool:
        known = {(known.plan, known.version) for known in sound(self._below.all())}
        return (version.plan, version.version) not in known and self._layer.add(version)

    def all(self) -> list[PlanVersion | Damaged]:
        return [*self._below.all(), *self._layer.all()]
