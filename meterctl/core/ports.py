"""The ports: protocols for stores and clocks. Methods are documented here; adapters do not repeat it.

Promises of every store, which the contract suite checks on each of them:

* An entry is stored whole or not at all, and is never changed or removed.
* ``(org, seq)`` and ``(org, key)`` are unique, whatever the number of writers.
* Every later read, from any process, sees an acknowledged write, which also survives a crash.
* A method that cannot get an answer in time raises `StoreUnreachable`; it never guesses.
* Reads write nothing.
* Every document is checked as it is read. A foreign or changed one becomes `Damaged`: raised if the caller asked for
  it by name, returned in its place in a listing, so that the other documents stay usable.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol

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
    """An org with something due since ``since``, the ``next_due`` of its head."""

    since: Instant
    org: str


class Recorded(NamedTuple):
    """A place in the order in which entries were recorded."""

    recorded_at: Instant
    org: str
    seq: int


class EntryFilter(NamedTuple):
    """Conditions that an entry must meet, all of them. ``before`` and ``after`` are exclusive seqs; ``moving`` keeps
    entries with an amount other than 0."""

    before: int | None = None
    after: int | None = None
    kinds: tuple[Kind, ...] = ()
    moving: bool = False
    session: str | None = None


class StoredDocument(NamedTuple):
    """A document as a store keeps it, unchecked; ``text`` is None unless the store keeps it as text."""

    content: object
    text: bytes | None = None


class EntryText(NamedTuple):
    """The canonical form of an entry, with its place in the store."""

    org: str
    seq: int
    text: bytes


class Journal(Protocol):
    """The append-only entries of all orgs."""

    def append(self, entries: Sequence[Entry]) -> int:
        """Append the entries in order and return the number stored.

        Stops at the first entry whose ``(org, seq)`` or ``(org, key)`` is used, or that breaks a rule of the store:
        all entries before it are stored for good, the rest are not. Raises `StoreUnusable` if the first entry breaks a
        rule. After a `StoreUnreachable` any prefix may have been stored: look the keys up.
        """
        ...

    def tip(self, org: str) -> Entry | None:
        """Return the newest entry of ``org``, never an older one; None if it has none. Its hash is verified."""
        ...

    def tips(self, orgs: Iterable[str]) -> dict[str, Entry]:
        """Return a recent entry of each org that has one, in as few round trips as possible.

        It may be older than the tip, because a cache gives its position. An append on top of an older entry clashes;
        a caller that appends nothing must check `tip` or `grown` first.
        """
        ...

    def grown(self, seqs: Mapping[str, int]) -> set[str]:
        """Return the orgs whose tip is beyond the seq of each in ``seqs``, in as few round trips as possible."""
        ...

    def by_keys(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Entry]:
        """Return the entries under these ``(org, key)``; unused keys are absent."""
        ...

    def starting(self, orgs: Sequence[str], prefix: str) -> Iterator[Entry]:
        """Return the entries of these orgs (some hundreds at most) whose key starts with ``prefix``, in any order.

        The cost grows with the entries returned and the number of orgs, not with their journals.
        """
        ...

    def by_seq(self, org: str, seq: int) -> Entry | None:
        """Return entry ``seq`` of ``org``, or None."""
        ...

    def read(self, org: str, where: EntryFilter = EntryFilter(), *, newest_first: bool = False) -> Iterator[Entry]:
        """Stream the entries of ``org`` that match, in order of seq.

        Memory does not grow with the length of the stream. The first page costs the same anywhere in the journal.
        """
        ...

    def alerts(self, since: Instant, *, org: str | None = None) -> Iterator[Entry]:
        """Stream the entries with ``alerts`` or ``low`` and ``at >= since``, of one org or of all, in order of ``(at,
        org, seq)``. The cost grows with the alerts, not with the journal."""
        ...

    def alerts_recorded(self, after: Recorded, until: Instant) -> Iterator[Entry]:
        """Stream the entries with ``alerts`` or ``low`` of all orgs after ``after``, with ``recorded_at < until``, in
        order of ``(recorded_at, org, seq)``. Entries recorded earlier cost nothing."""
        ...

    def scan(self, *, after: str = "") -> Iterator[Entry]:
        """Stream the entries of all orgs after the org ``after``, in order of ``(org, seq)``.

        The cost grows with the entries, not with the number of orgs.
        """
        ...

    def texts(self, org: str | None = None) -> Iterator[EntryText]:
        """Stream the canonical form of each entry of ``org``, or of all orgs in order of ``(org, seq)``. A store that
        keeps the form returns the stored bytes without parsing them."""
        ...

    def documents(self, org: str, *, seq: int | None = None) -> Iterator[StoredDocument]:
        """Stream the stored documents of ``org``, unchecked, in order of seq; with ``seq`` only those of that number.

        For callers that look for damage; all others use `read`.
        """
        ...

    def strays(self) -> Iterator[Damaged]:
        """Return the documents that belong to no journal: without an org, or with a seq that is no number."""
        ...

    def orgs(self, *, after: str = "") -> Iterator[str]:
        """Stream the orgs that have an entry, in order of name, after ``after``."""
        ...


class Heads(Protocol):
    """The cache of tips: it may be behind or lost at any time without changing an answer."""

    def put(self, heads: Sequence[Head]) -> None:
        """Store each head unless the store has a newer one (higher seq) of that org. One head per org."""
        ...

    def get(self, orgs: Iterable[str]) -> dict[str, Head | Damaged]:
        """Return the cached heads of these orgs; orgs without one are absent."""
        ...

    def due(self, at: Instant, *, after: DueOrg | None = None, limit: int = 1000) -> list[DueOrg]:
        """Return at most ``limit`` orgs with ``next_due <= at``, after ``after``, in order of ``(next_due, org)``.

        The cost grows with the orgs returned, not with the number of orgs in the store.
        """
        ...

    def ahead(self, of: Instant, limit: int) -> list[tuple[str, Instant]]:
        """Return org and time of heads whose entry takes effect later than ``of``, by org, at most ``limit``. Reads all
        heads, inside the store."""
        ...

    def read(self, *, after: str = "") -> Iterator[Head | Damaged]:
        """Stream all heads in order of org, after ``after``."""
        ...

    def replace(self, heads: Sequence[Head]) -> None:
        """Overwrite the head of each org, even with an older one. For repair only."""
        ...


class Claims(Protocol):
    """The org and the payment of each name, across the whole store."""

    def take(self, requested: Sequence[Claim]) -> dict[str, Claim]:
        """Claim each free name and return the claim in force on each: the requested one, or an earlier one."""
        ...

    def holders(self, names: Iterable[str]) -> dict[str, Claim]:
        """Return the claims on these names; free ones are absent."""
        ...

    def move(self, holder: Claim, to: Claim) -> bool:
        """Replace the claim ``holder`` by ``to`` on the same name; do nothing and return False if ``holder`` is not in
        force."""
        ...

    def read(self, *, after: str = "") -> Iterator[Claim | Damaged]:
        """Stream all claims in order of name, after ``after``."""
        ...


class Plans(Protocol):
    """The published plan versions."""

    def add(self, version: PlanVersion) -> bool:
        """Store a version; do nothing and return False if that ``(plan, version)`` exists."""
        ...

    def all(self) -> list[PlanVersion | Damaged]:
        """Return every version of every plan, in order. A damaged one names its plan, if known."""
        ...


#: Milliseconds that the clocks of two holders may differ: as much as `doctor` lets pass.
LEASE_SKEW_MS = 5_000


class Lease(NamedTuple):
    """The state of a lock: held by ``holder`` until ``expires_at`` unless renewed."""

    name: str
    holder: str
    acquired_at: Instant
    expires_at: Instant

    @property
    def latest(self) -> Instant:
        """Return the latest credible expiry of another holder's lease while this one is requested.

        A later expiry comes from a clock that runs ahead, and would lock out every other process until then.
        """
        return add_millis(self.expires_at, LEASE_SKEW_MS)

    def is_over(self, now: Instant, length_ms: int) -> bool:
        """Return True if the lease has expired by ``now``, or ends later than a lease of ``length_ms`` could."""
        return self.expires_at <= now or self.expires_at > add_millis(now, length_ms + LEASE_SKEW_MS)


class Locks(Protocol):
    """Leases that keep two sweeps from doing the same work twice. Correctness never needs them."""

    def acquire(self, lease: Lease, now: Instant) -> Lease:
        """Take the lock if it is free or its lease is over (`Lease.is_over`); renew it if ``lease.holder`` holds it.

        Returns the lease in force: the caller's own on success. Renewing keeps ``acquired_at``.
        """
        ...

    def release(self, name: str, holder: str) -> bool:
        """Release the lock; return False if ``holder`` does not hold it."""
        ...

    def all(self) -> list[Lease | Damaged]:
        """Return every lock in order of name, expired ones too."""
        ...


class Clock(Protocol):
    """Time, and waiting for it."""

    def now(self) -> Instant:
        """Return the current instant, in UTC."""
        ...

    def elapsed(self) -> float:
        """Return seconds on a monotonic clock; only the difference of two readings means anything.

        Deadlines use it. It includes the time of `sleep`, even if a test's clock does not really sleep.
        """
        ...

    def sleep(self, seconds: float) -> None:
        """Wait for ``seconds``."""
        ...


class ClockMark(NamedTuple):
    """The latest time at which a write ran. ``pinned``: only pinned clocks have written so far."""

    at: Instant
    pinned: bool


class StoreClock(Protocol):
    """The times that a store keeps, to check a writer's clock against."""

    #: True if the store has a server with a clock of its own.
    has_server: bool

    def server_time(self) -> Instant | None:
        """Return the time by the server's clock; None if the store has no server."""
        ...

    def mark(self) -> ClockMark | None:
        """Return the mark of earlier writes; None if there is none, or the store keeps none."""
        ...

    def leave_mark(self, mark: ClockMark) -> None:
        """Store ``mark`` in the transaction of this process's next write; a store with a server keeps none.

        A mark only moves forward, except that a real clock replaces the mark of a pinned one.
        """
        ...


class Observation(NamedTuple):
    """An aspect of the store (``name``), its state (``found``), the next step (``fix``) and an error's ``code``.

    ``ok`` None: neither right nor wrong, or impossible to check; ``found`` gives the reason.
    """

    name: str
    ok: bool | None
    found: str
    fix: str | None = None
    code: str | None = None


class Store(Protocol):
    """One store of all data: five repositories over one connection."""

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
        """Group the calling thread's writes of the block into one transaction, if the store works best that way.

        Other stores write one after the other. Blocks must not be nested.
        """
        ...

    def require_ours(self) -> None:
        """Raise `StoreUnusable` if the place holds another program's data, as a first read does. Changes nothing."""
        ...

    def init(self) -> list[str]:
        """Create or complete tables, collections, indexes and validators. Return a line for each; repeatable."""
        ...

    def examine(self, clock: Clock) -> list[Observation]:
        """Compare the store's setup with the required one, and the server's time with ``clock``. Changes nothing.

        Returns an empty list if the store does not exist yet. Raises `StoreUnreachable` and `StoreUnusable` as a read.
        """
        ...

    def roles(self) -> dict[str, dict[str, Any]]:
        """Return the commands that create the least privileged roles: ``role`` to book, ``reader_role`` to read.

        Empty if the store has no users.
        """
        ...

    def damage(self) -> list[str] | None:
        """Return the first problems of the medium, such as a broken page; None if a server checks it. Reads it all."""
        ...

    def describe(self) -> str:
        """Return the name of the store, without any secret."""
        ...

    def close(self) -> None:
        """Close the connections; the store must not be used afterwards."""
        ...
