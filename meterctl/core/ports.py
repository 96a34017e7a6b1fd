"""The ledger's needs of the world, as protocols. The documentation lives here; adapters have none.

Promises of every store, which the contract suite checks on each of them:

* An entry is stored whole or not at all, and is never changed or removed.
* ``(org, seq)`` and ``(org, key)`` are unique, whatever the number of writers.
* Every later read, from any process, sees an acknowledged write, which also survives a crash.
* A method that cannot get an answer in time raises `StoreUnreachable`; it never guesses.
* Reads write nothing.
* Every document is checked where it enters. One that is not ours, or not as it was written, is `Damaged`: raised where
  it was asked for by name, handed on in its place where many are listed, so that it stops nobody else.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol, TypeVar

from meterctl.core.domain.instants import add_millis
from meterctl.core.errors import Damaged
from meterctl.core.model import Claim, Entry, Instant, Kind, PlanVersion


class Head(NamedTuple):
    """The cached facts of an org: its tip, and the columns of sweeps and listings.

    ``next_due`` is the earliest instant at which something becomes due (an expiry, a hold's or the week's end, a dated
    plan); None if nothing ever does by itself.
    """

    org: str
    seq: int
    key: str
    hash: str
    state: Mapping[str, Any]
    balance: int
    at: Instant
    next_expiry: Instant | None
    next_due: Instant | None


class DueOrg(NamedTuple):
    """An org that has something due, and since when: its head's ``next_due``."""

    since: Instant
    org: str


class Recorded(NamedTuple):
    """A place in the order in which entries were recorded."""

    recorded_at: Instant
    org: str
    seq: int


class EntryFilter(NamedTuple):
    """Conditions on entries to read; all given ones hold. ``before`` and ``after`` are exclusive seqs;
    ``moving`` keeps entries whose amount is not 0."""

    before: int | None = None
    after: int | None = None
    kinds: tuple[Kind, ...] = ()
    moving: bool = False
    session: str | None = None


class StoredDocument(NamedTuple):
    """A document as a store keeps it, unchecked; ``text`` is there where the store keeps it as text."""

    content: object
    text: bytes | None = None


class EntryText(NamedTuple):
    """The canonical form of an entry, with its place in the store."""

    org: str
    seq: int
    text: bytes


Item = TypeVar("Item")


def undamaged(items: Iterable[Item | Damaged]) -> Iterator[Item]:
    """Return the items; raise the first damaged one: a copy must leave nothing out."""
    for item in items:
        if isinstance(item, Damaged):
            raise item
        yield item


def sound(items: Iterable[Item | Damaged]) -> Iterator[Item]:
    """Pass over the damaged items, where the rest is of use without them."""
    return (item for item in items if not isinstance(item, Damaged))


def end_of_prefix(prefix: str) -> str:
    """The first text, in order of code points, behind all that start with ``prefix`` (not empty)."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)


class Journal(Protocol):
    """The append-only entries of all orgs."""

    def append(self, entries: Sequence[Entry]) -> int:
        """Append in the given order and return how many were taken.

        Stops at the first entry whose ``(org, seq)`` or ``(org, key)`` is used, or that breaks a rule of the store:
        all before it are stored for good, it and all after it are not. Equal to ``len(entries)`` when all were taken.
        Raises `StoreUnusable` where the very first one breaks a rule. After a `StoreUnreachable` any prefix may have
        been stored: look the keys up.
        """
        ...

    def tip(self, org: str) -> Entry | None:
        """The newest entry of ``org``, exactly; None if it has none. Its content has the hash that it says."""
        ...

    def tips(self, orgs: Iterable[str]) -> dict[str, Entry]:
        """A recent entry of each org that has one, in as few round trips as possible.

        May be behind the tip (a cache may have told where to look), is never made up. An append on top of an old
        one clashes; an answer that appends nothing must look at `tip` or `grown` first.
        """
        ...

    def grown(self, seqs: Mapping[str, int]) -> set[str]:
        """Those of these orgs whose tip, exactly, lies beyond the seq given for each, in as few round trips as
        possible."""
        ...

    def by_keys(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Entry]:
        """The entries under these ``(org, key)``; those never used are absent."""
        ...

    def starting(self, orgs: Sequence[str], prefix: str) -> Iterator[Entry]:
        """The entries of these orgs (some hundreds at most) whose key starts with ``prefix``, in no particular order.
        The cost grows with the entries returned and the number of orgs, not with their journals."""
        ...

    def by_seq(self, org: str, seq: int) -> Entry | None:
        """The entry number ``seq`` of ``org``, or None."""
        ...

    def read(self, org: str, where: EntryFilter = EntryFilter(), *, newest_first: bool = False) -> Iterator[Entry]:
        """The entries of ``org`` that match, in order of seq. A stream: memory does not grow with its length, and
        the cost of the first page does not depend on where in the journal it starts."""
        ...

    def alerts(self, since: Instant, *, org: str | None = None) -> Iterator[Entry]:
        """Stream the entries with ``alerts`` or ``low`` and ``at >= since``, of one org or of all, in order of ``(at,
        org, seq)``. The cost grows with the alerts found, not with the journal."""
        ...

    def alerts_recorded(self, after: Recorded, until: Instant) -> Iterator[Entry]:
        """Stream the entries with ``alerts`` or ``low`` of all orgs from behind ``after`` on, with ``recorded_at <
        until``, in order of ``(recorded_at, org, seq)``. Entries recorded earlier cost nothing."""
        ...

    def scan(self, *, after: str = "") -> Iterator[Entry]:
        """The entries of all orgs in order of ``(org, seq)``, from behind the org ``after`` on. A stream: it costs what
        its entries cost, however many orgs they are of."""
        ...

    def texts(self, org: str | None = None) -> Iterator[EntryText]:
        """Stream the canonical form of each entry of ``org``, or of all orgs in order of ``(org, seq)``. A store that
        keeps the form hands on the stored bytes, and does not look inside."""
        ...

    def documents(self, org: str, *, seq: int | None = None) -> Iterator[StoredDocument]:
        """What is stored for ``org`` as it is, unchecked, in order of seq; with ``seq`` only what has that number. For
        those who look for damage: everybody else wants `read`."""
        ...

    def strays(self) -> Iterator[Damaged]:
        """The documents that no org's journal shows: of no org, or with a seq that is no number. Looks at all."""
        ...

    def orgs(self, *, after: str = "") -> Iterator[str]:
        """Every org that has an entry, in order of name, from behind ``after`` on. A stream."""
        ...


class Heads(Protocol):
    """The cache of tips: it may be behind or lost at any time without changing an answer."""

    def put(self, heads: Sequence[Head]) -> None:
        """Store each head unless a newer one (higher seq) of that org is there. One head per org."""
        ...

    def get(self, orgs: Iterable[str]) -> dict[str, Head | Damaged]:
        """The cached heads of these orgs; those not cached are absent."""
        ...

    def due(self, at: Instant, *, after: DueOrg | None = None, limit: int = 1000) -> list[DueOrg]:
        """The orgs with ``next_due <= at`` in order of ``(next_due, org)`` from behind ``after`` on, at most ``limit``.
        The cost grows with what is returned: neither with the number of orgs nor with how much else is due."""
        ...

    def ahead(self, of: Instant, limit: int) -> list[tuple[str, Instant]]:
        """Return org and time of heads whose entry takes effect later than ``of``, by org, at most ``limit``. Reads all
        heads, inside the store."""
        ...

    def read(self, *, after: str = "") -> Iterator[Head | Damaged]:
        """All heads in order of org, from behind ``after`` on. A stream."""
        ...

    def replace(self, heads: Sequence[Head]) -> None:
        """Store each head whatever is there: for repair only."""
        ...


class Claims(Protocol):
    """The org and the payment of each name, across the whole store."""

    def take(self, wanted: Sequence[Claim]) -> dict[str, Claim]:
        """Claim each free name as given, and return the claim in force on each: that one, or another that was
        first."""
        ...

    def holders(self, names: Iterable[str]) -> dict[str, Claim]:
        """Return the claims on these names; free ones are absent."""
        ...

    def move(self, holder: Claim, to: Claim) -> bool:
        """Put ``to`` in the place of ``holder``, a claim on the same name; False, and nothing done, if that is not the
        claim in force."""
        ...

    def read(self, *, after: str = "") -> Iterator[Claim | Damaged]:
        """Stream all claims in order of name, from behind ``after`` on."""
        ...


class Plans(Protocol):
    """The published plan versions."""

    def add(self, version: PlanVersion) -> bool:
        """Store a version; False, and nothing done, if that ``(plan, version)`` exists."""
        ...

    def all(self) -> list[PlanVersion | Damaged]:
        """Every version of every plan, by plan and version. A damaged one names its plan, if it says which."""
        ...


#: Milliseconds that the clocks of two holders may differ: as much as `doctor` lets pass.
LEASE_SKEW_MS = 5_000


class Lease(NamedTuple):
    """A lock as it stands: held by ``holder`` until ``expires_at`` unless renewed."""

    name: str
    holder: str
    acquired_at: Instant
    expires_at: Instant

    @property
    def latest(self) -> Instant:
        """The latest expiry that a lease of another holder may have when this one is asked for.

        A later one was dated by a clock that runs ahead, and would keep everybody out until then.
        """
        return add_millis(self.expires_at, LEASE_SKEW_MS)

    def is_over(self, now: Instant, length_ms: int) -> bool:
        """Return True if the lease has expired by ``now``, or ends later than one of ``length_ms`` can."""
        return self.expires_at <= now or self.expires_at > add_millis(now, length_ms + LEASE_SKEW_MS)


class Locks(Protocol):
    """Leases that keep two sweeps from doing the same work twice. Correctness never needs them."""

    def acquire(self, lease: Lease, now: Instant) -> Lease:
        """Take the lock if it is free or its lease is over by ``now`` (see `Lease.is_over`), or renew it if
        ``lease.holder`` holds it (``acquired_at`` stays). Returns the lease in force: the caller's own when it was
        taken."""
        ...

    def release(self, name: str, holder: str) -> bool:
        """Give the lock back; False if ``holder`` does not hold it."""
        ...

    def all(self) -> list[Lease | Damaged]:
        """Every lock there is, by name, expired ones too."""
        ...


class Clock(Protocol):
    """Time, and waiting for it."""

    def now(self) -> Instant:
        """Return the current instant, in UTC."""
        ...

    def elapsed(self) -> float:
        """Return seconds on a clock that nobody can set: only the difference of two readings means anything.

        Deadlines count by it. It includes the time slept here, even where sleeping takes no real time.
        """
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class ClockMark(NamedTuple):
    """The latest time at which a write ran. ``pinned``: only pinned clocks have written so far."""

    at: Instant
    pinned: bool


class StoreClock(Protocol):
    """The times that a store knows, to compare a writer's clock with."""

    def server_time(self) -> Instant | None:
        """Return the time by the server's clock; None where the store has no server."""
        ...

    def mark(self) -> ClockMark | None:
        """Return the mark that earlier writes left; None where there is none, or the store keeps none."""
        ...

    def leave_mark(self, mark: ClockMark) -> None:
        """Store ``mark`` with the next write of this process, in the same transaction.

        A mark only moves forward, but for one thing: a real clock replaces the mark of a pinned one. A store with a
        server keeps none.
        """
        ...


class Observation(NamedTuple):
    """What was looked at (``name``), what was ``found``, and what to do about it (``fix``; None: nothing).

    ``ok`` None: found to be neither right nor wrong, or it could not be looked at; ``found`` says which.
    """

    name: str
    ok: bool | None
    found: str
    fix: str | None = None


class Store(Protocol):
    """One place that keeps everything: the five repositories over one connection."""

    @property
    def journal(self) -> Journal: ...

    @property
    def heads(self) -> Heads: ...

    @property
    def claims(self) -> Claims: ...

    @property
    def plans(self) -> Plans: ...

    @property
    def locks(self) -> Locks: ...

    @property
    def clock(self) -> StoreClock: ...

    def together(self) -> AbstractContextManager[object]:
        """What is written inside is written in one step, all of it or nothing, if that is how the store works best; if
        not, one after the other. Only the calling thread's writes are meant, and they must not be nested."""
        ...

    def init(self) -> list[str]:
        """Create or complete tables, collections, indexes and validators; repeatable. Returns a line per thing that
        it made or found."""
        ...

    def examine(self, clock: Clock) -> list[Observation]:
        """How the store is set up, against how it has to be, and how far the server's time is from ``clock``. Makes and
        changes nothing; empty if nothing is there yet. Raises `StoreUnreachable` and `StoreUnusable` as any read."""
        ...

    def roles(self) -> dict[str, dict[str, Any]]:
        """The commands that make the roles with the fewest rights: ``role`` for a user that books, ``reader_role`` for
        one that only reads. Empty where the store knows no users."""
        ...

    def damage(self) -> list[str] | None:
        """What is wrong with the medium itself, such as a page or an index of a file: some of it, in sentences; None
        where a server looks after that. Looks at all of it, so it costs what reading everything does."""
        ...

    def describe(self) -> str:
        """Which store this is, without any secret."""
        ...

    def close(self) -> None:
        """Give connections back; the store is not used afterwards."""
        ...
