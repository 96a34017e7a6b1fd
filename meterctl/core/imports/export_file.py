"""Importing an export: first all of it is checked, by itself and against the store, then what is new is appended."""

from collections.abc import Iterable, Iterator
from itertools import groupby, islice
from typing import IO, Any, NamedTuple

from meterctl.core.booking.payment_names import claims_of
from meterctl.core.domain.canonical import parse_json
from meterctl.core.domain.entries import undo_key
from meterctl.core.errors import FINDINGS, REFUSED, BadInput, MeterctlError, undamaged
from meterctl.core.imports.appender import Appender
from meterctl.core.imports.report import Imported
from meterctl.core.model import Claim, Entry, PlanVersion
from meterctl.core.ports import EntryFilter, Store
from meterctl.core.results import Verification
from meterctl.core.verify import verify_file
from meterctl.core.verify.export_check import Base, plan_line
from meterctl.core.verify.report import Progress

#: Entries that are compared and appended together.
WINDOW = 2000


class UnsoundExport(MeterctlError):
    """The export does not hold journals that the rules made. Nothing was imported."""

    code = "unsound_export"
    exit_code = FINDINGS
    hint = "nothing was imported; see all findings with: meterctl verify --file EXPORT; use another copy"


class OtherJournal(MeterctlError):
    """The store has entries that the export has not, so none of the two continues the other. Nothing was imported."""

    code = "other_journal"
    exit_code = REFUSED
    hint = "nothing was imported; import into a store that has none of these orgs, or an earlier state of them"


def import_export(
    source: IO[bytes], name: str, store: Store, *, dry_run: bool = False, progress: Progress | None = None
) -> Imported:
    """Bring the journals of an export into ``store``, from where it has them on. ``source`` can be sought in.

    Raises `UnsoundExport`, `OtherJournal` or `SessionTaken` before anything is appended.
    """
    start = source.tell()
    _check_sound(verify_file(source, progress=progress, base=_StoredBase(store)), name)
    plan = _ImportPlan(store)
    source.seek(start)
    for _ in plan.new_entries(source):
        pass  # every refusal comes from here, with nothing appended yet
    plan.check_claims()
    result = Imported(name, plan.orgs, plan.entries, plan.known, plan.entries - plan.known, len(plan.versions))
    result.missing_plans, result.dry_run = plan.missing_plans(), dry_run
    if not dry_run:
        for version in plan.versions:
            store.plans.add(version)
        appender = Appender(store)
        appender.undone = plan.undone
        source.seek(start)
        for entries in _ImportPlan(store).new_entries(source):
            appender.append(entries)
    return result


def _check_sound(found: Verification, name: str) -> None:
    if found.ok:
        return
    first, count = found.findings[0], len(found.findings) + found.more
    where = "" if first.org is None else f" (org {first.org})"
    raise UnsoundExport(f"{name} is not sound: {count:,} findings; the first{where}: {first.message}")


class _StoredBase(Base):
    """Journals as far as the store has them: an export of what is new goes on from there."""

    def __init__(self, store: Store) -> None:
        self._journal = store.journal

    def entries(self, org: str, before: int) -> Iterator[Entry]:
        return self._journal.read(org, EntryFilter(before=before))

    def entry(self, org: str, seq: int) -> Entry | None:
        return self._journal.by_seq(org, seq)


class _Tip(NamedTuple):
    seq: int
    hash: str


class _ImportPlan:
    """A walk over an export beside the store: counts what is in both, and finds what only the export has."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._published = {(version.plan, version.version): version for version in undamaged(store.plans.all())}
        self.orgs = self.entries = self.known = 0
        self.versions: list[PlanVersion] = []
        self.undone: set[tuple[str, int]] = set()
        self._topups: list[Entry] = []
        self._plans: set[str] = set()
        self._org = ""
        self._tip: _Tip | None = None
        self._last: Entry | None = None
        self._met = False  # whether the entry that the store ends with was seen in the export

    def new_entries(self, lines: Iterable[bytes]) -> Iterator[list[Entry]]:
        """The entries that the store does not have, some thousand at once. Raises `OtherJournal`."""
        documents = (parse_json(line) for line in lines if not line.isspace())
        while window := list(islice(documents, WINDOW)):  # bounded: by the lines
            entries = [document for document in window if not self._take_plan(document)]
            tips = self._tips({entry["org"] for entry in entries} - {self._org})
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
        known = self._published.get((version.plan, version.version))
        if known is None:
            self.versions.append(version)
            self._published[version.plan, version.version] = version
        elif known != version:
            raise OtherJournal(f"the store has another version {version.version} of plan {version.plan}")
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
        tip = self._tip
        if tip is not None and entry["seq"] <= tip.seq:
            if entry["seq"] == tip.seq:
                self._met = True
                if entry["hash"] != tip.hash:
                    raise OtherJournal(f"entry {tip.seq} of {self._org} is another one in the store")
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
        last, tip = self._last, self._tip
        if last is None:
            return
        self._plans |= {plan for plan in (last["state"]["plan"],) if plan}
        if tip is None or self._met:
            return
        if last["seq"] > tip.seq:  # it begins behind what the store has: the check of the export has joined them
            return
        stored = self._store.journal.by_seq(self._org, last["seq"])
        if stored is None or stored["hash"] != last["hash"]:
            raise OtherJournal(f"entry {last['seq']} of {self._org} is another one in the store")

    def check_claims(self) -> None:
        """Raise `OtherJournal` if a payment that would come in belongs to an org of the store."""
        standing = {
            claim.name: claim
            for topup in self._topups
            if (topup["org"], topup["seq"]) not in self.undone
            for claim in claims_of(topup)
        }
        names = iter(standing)
        while chunk := list(islice(names, WINDOW)):  # bounded: by the topups
            for name, holder in self._store.claims.holders(chunk).items():
                if holder.org != standing[name].org and self._stands(holder):
                    message = f"the payment {name} of {standing[name].org} is credited to {holder.org} in the store"
                    raise OtherJournal(message)

    def _stands(self, claim: Claim) -> bool:
        key = (claim.org, f"session:{claim.session}")
        topup = self._store.journal.by_keys([key]).get(key)
        if topup is None or (claim.org, topup["seq"]) in self.undone:
            return False
        undo = (claim.org, undo_key(topup))
        return undo not in self._store.journal.by_keys([undo])

    def missing_plans(self) -> list[str]:
        """The plans that imported orgs are on, and of which no version is known."""
        known = {plan for plan, _ in self._published}
        return sorted(self._plans - known)


def check_readable(line: bytes) -> None:
    """Raise `BadInput` unless an export may begin with ``line``: a file of another kind gets one clear answer."""
    try:
        document = parse_json(line)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        message = "the file does not begin with an entry, so it is no export"
        raise BadInput(message, hint="make one with: meterctl export --all > FILE", code="bad_file")
