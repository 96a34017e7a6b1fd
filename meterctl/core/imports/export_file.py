"""Import an export: check all of it, alone and against the store, then append the new entries."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, islice
from typing import IO, Any, NamedTuple

from meterctl.core.booking.journal_view import journal_history, topup_of
from meterctl.core.booking.payment_modes import JournalModes, check_source
from meterctl.core.booking.payment_names import claims_of
from meterctl.core.domain.canonical import parse_json
from meterctl.core.domain.entries import undo_key
from meterctl.core.errors import FINDINGS, REFUSED, BadInput, MeterctlError, plural, undamaged
from meterctl.core.imports.appender import Appender
from meterctl.core.imports.report import ImportReport
from meterctl.core.model import Claim, Entry, PlanVersion
from meterctl.core.ports import EntryFilter, Store
from meterctl.core.results import Verification
from meterctl.core.verify import verify_file
from meterctl.core.verify.export_check import Base, plan_line
from meterctl.core.verify.report import Progress

#: Entries to compare and append together, and the bytes of their lines: an entry of an org with 1,000 lots is long.
WINDOW, WINDOW_BYTES = 2000, 2 * 1024 * 1024


class UnsoundExport(MeterctlError):
    """The journals of the export break the rules. Nothing was imported."""

    code = "unsound_export"
    exit_code = FINDINGS
    hint = "nothing was imported; see all findings with: meterctl verify --file EXPORT; use another copy"


class OtherJournal(MeterctlError):
    """The store has entries that the export lacks, so neither continues the other. Nothing was imported."""

    code = "other_journal"
    exit_code = REFUSED
    hint = "nothing was imported; use a store without these orgs, or with an earlier state of them"


def import_export(
    source: IO[bytes], name: str, store: Store, *, dry_run: bool = False, progress: Progress | None = None
) -> ImportReport:
    """Append the new entries of an export to the journals of ``store``. ``source`` must be seekable.

    Raises `UnsoundExport`, `OtherJournal`, `PaymentRefused` or `SessionTaken` before anything is appended.
    """
    start = source.tell()
    _check_sound(verify_file(source, progress=progress, base=_StoredBase(store)), name)
    plan = _ImportPlan(store)
    source.seek(start)
    for _ in plan.new_entries(source):
        pass  # raise every refusal before the first append
    plan.check_claims()
    check_source(plan.modes.live, name, store)
    result = ImportReport(
        source=name,
        orgs=plan.orgs,
        entries=plan.entries,
        known=plan.known,
        imported=plan.entries - plan.known,
        plans=len(plan.versions),
    )
    result.missing_plans, result.dry_run = plan.missing_plans(), dry_run
    if not dry_run:
        for version in plan.versions:
            store.plans.add(version)
        source.seek(start)
        _append_new(source, store, plan.undone)
    return result


def _append_new(source: IO[bytes], store: Store, undone: set[tuple[str, int]]) -> None:
    """Append the new entries of an export that was checked. A server stores one window while the next one is read."""
    from concurrent.futures import Future, ThreadPoolExecutor  # few commands import

    appender, plan = Appender(store), _ImportPlan(store)
    appender.undone = undone

    def append(entries: Sequence[Entry], orgs: set[str]) -> None:
        appender.append(entries)
        appender.catch_up(orgs - {entry["org"] for entry in entries})

    with ThreadPoolExecutor(1, "meterctl-append") as worker:
        flying: Future[None] | None = None
        for entries in plan.new_entries(source):
            if flying is not None:
                flying.result()
            flying = worker.submit(append, entries, plan.window_orgs)
            if not store.clock.has_server:  # an append to a file is this process's own work
                flying.result()
        if flying is not None:
            flying.result()


def _check_sound(verification: Verification, name: str) -> None:
    if verification.ok:
        return
    first, count = verification.findings[0], len(verification.findings) + verification.more
    place = "" if first.org is None else f" (org {first.org})"
    raise UnsoundExport(f"{name} breaks the rules: {plural(count, 'finding')}; the first{place}: {first.message}")


class _StoredBase(Base):
    """The journals of the store, which an export of newer entries continues."""

    def __init__(self, store: Store) -> None:
        self._journal = store.journal

    def entries(self, org: str, before: int) -> Iterator[Entry]:
        return self._journal.read(org, EntryFilter(before=before))

    def entry(self, org: str, seq: int) -> Entry | None:
        return self._journal.by_seq(org, seq)


class _Tip(NamedTuple):
    seq: int
    hash: str


def _windows(lines: Iterable[bytes]) -> Iterator[list[Any]]:
    """Yield the documents of the lines, some together."""
    window, size = [], 0
    for line in lines:
        if line.isspace():
            continue
        window.append(parse_json(line))
        size += len(line)
        if len(window) == WINDOW or size >= WINDOW_BYTES:
            yield window
            window, size = [], 0
    if window:
        yield window


class _ImportPlan:
    """Compares an export with the store: counts common entries and yields those that only the export has."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._versions = {(version.plan, version.version): version for version in undamaged(store.plans.all())}
        self.orgs = self.entries = self.known = 0
        self.versions: list[PlanVersion] = []
        self.undone: set[tuple[str, int]] = set()
        self.window_orgs: set[str] = set()
        self.modes = JournalModes()
        self._topups: list[Entry] = []
        self._plans: set[str] = set()
        self._org = ""
        self._tip: _Tip | None = None
        self._last: Entry | None = None
        self._met = False  # True once the store's last entry was read from the export

    def new_entries(self, lines: Iterable[bytes]) -> Iterator[list[Entry]]:
        """Yield the entries that the store lacks, some thousand at once. Raises `OtherJournal`."""
        for window in _windows(lines):
            entries = [document for document in window if not self._take_plan(document)]
            self.window_orgs = {entry["org"] for entry in entries}
            tips = self._tips(self.window_orgs - {self._org})
            new: list[Entry] = []
            for org, group in groupby(entries, key=lambda entry: str(entry["org"])):
                if org != self._org:
                    self._end_org()
                    self._begin_org(org, tips.get(org))
                new += [entry for entry in group if self._is_new(entry)]
            yield new
        self._end_org()

    def _take_plan(self, document: Any) -> bool:
        version = plan_line(document)
        if version is None:
            return False
        known = self._versions.get((version.plan, version.version))
        if known is None:
            self.versions.append(version)
            self._versions[version.plan, version.version] = version
        elif known != version:
            raise OtherJournal(f"version {version.version} of plan {version.plan} differs from that in the store")
        return True

    def _tips(self, orgs: set[str]) -> dict[str, _Tip]:
        tips = {org: _Tip(entry["seq"], entry["hash"]) for org, entry in self._store.journal.tips(orgs).items()}
        for org in self._store.journal.grown({org: tips[org].seq if org in tips else 0 for org in orgs}):
            newest = self._store.journal.tip(org)
            if newest is not None:
                tips[org] = _Tip(newest["seq"], newest["hash"])
        return tips

    def _begin_org(self, org: str, tip: _Tip | None) -> None:
        self._org, self._tip, self._last, self._met = org, tip, None, tip is None
        self.orgs += 1

    def _is_new(self, entry: Entry) -> bool:
        self.entries += 1
        self._last = entry
        self.modes.take(entry)
        tip = self._tip
        if tip is not None and entry["seq"] <= tip.seq:
            if entry["seq"] == tip.seq:
                self._met = True
                if entry["hash"] != tip.hash:
                    raise OtherJournal(f"entry {tip.seq} of {self._org} differs from that in the store")
            self.known += 1
            return False
        self._note(entry)
        return True

    def _note(self, entry: Entry) -> None:
        if entry["kind"] == "topup":
            about = {name: entry[name] for name in ("org", "seq", "session", "names")}
            self._topups.append(about)  # type: ignore[arg-type]
        elif entry["kind"] == "reversal" and "voided" in entry:
            self.undone.add((entry["org"], entry["reverses"]))

    def _end_org(self) -> None:
        self.modes.end()
        last, tip = self._last, self._tip
        if last is None:
            return
        self._plans |= {plan for plan in (last["state"]["plan"],) if plan}
        if tip is None or self._met:
            return
        if last["seq"] > tip.seq:  # the export begins after the store's entries; its check has joined them
            return
        existing = self._store.journal.by_seq(self._org, last["seq"])
        if existing is None or existing["hash"] != last["hash"]:
            raise OtherJournal(f"entry {last['seq']} of {self._org} differs from that in the store")

    def check_claims(self) -> None:
        """Raise `OtherJournal` if a new payment belongs to another org of the store."""
        claims = {
            claim.name: claim
            for topup in self._topups
            if (topup["org"], topup["seq"]) not in self.undone
            for claim in claims_of(topup)
        }
        names = iter(claims)
        while chunk := list(islice(names, WINDOW)):  # bounded: by the topups
            for name, holder in self._store.claims.holders(chunk).items():
                if holder.org != claims[name].org and self._is_valid(holder):
                    message = f"the payment {name} of {claims[name].org} is credited to {holder.org} in the store"
                    raise OtherJournal(message)

    def _is_valid(self, claim: Claim) -> bool:
        topup = topup_of(claim, journal_history(self._store, claim.org))
        if topup is None or (claim.org, topup["seq"]) in self.undone:
            return False
        undo = (claim.org, undo_key(topup))
        return undo not in self._store.journal.by_keys([undo])

    def missing_plans(self) -> list[str]:
        """Return the plans of imported orgs without a known version."""
        known = {plan for plan, _ in self._versions}
        return sorted(self._plans - known)


def check_readable(line: bytes) -> None:
    """Raise `BadInput` unless an export may begin with ``line``, to give one clear error for other files."""
    try:
        document = parse_json(line)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        message = "the file does not begin with an entry, so it is no export"
        raise BadInput(message, hint="make one with: meterctl export --all > FILE", code="bad_file")
