"""Import devkit's data, org by org: append new records, compare known ones, and correct nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple, TypedDict

from meterctl.core import errors
from meterctl.core.domain.entries import tip_of
from meterctl.core.errors import BadInput, Damaged
from meterctl.core.imports.appender import Appender
from meterctl.core.imports.devkit.gather import OrgDocuments, org_of
from meterctl.core.imports.devkit.journal_builder import SOURCE, ImportedHistory, JournalBuilder
from meterctl.core.imports.devkit.records import OldOrg, Unusable
from meterctl.core.results import Result, shown

if TYPE_CHECKING:
    from meterctl.core.documents import fields as f
    from meterctl.core.documents.fields import means, number, signed, text
    from meterctl.core.domain.policy import Pack
    from meterctl.core.model import Entry, Instant
    from meterctl.core.ports import Store

#: Reports of orgs that are listed, those with a problem first of all; beyond these they are counted.
KEPT = 10_000

#: Entries that are appended together.
TOGETHER = 1000


class OrgReport(TypedDict):
    """The result of importing one org."""

    org: Annotated[str, means("the org, or the document that names none")]
    status: Annotated[
        Literal["imported", "unchanged", "planned", "failed"], means("failed: see problems; nothing of it was imported")
    ]
    entries: Annotated[int, means("entries that were appended, or would be")]
    old_balance: Annotated[int | None, means("the sum of the old ledger; null: it cannot be read")]
    balance: Annotated[int | None, means("the balance of the journal after it; null: there is none")]
    problems: Annotated[list[str], means("data that could not be imported, or changed since it was")]


@dataclass(slots=True)
class DevkitImportReport(Result):
    """The outcome of an import of devkit's data."""

    name = "devkit-import"

    source: Annotated[str, text("the database, without any secret")]
    orgs: Annotated[int, number("orgs looked at")] = 0
    imported: Annotated[int, number("entries appended, or that would be on a dry run")] = 0
    failed: Annotated[int, number("orgs that nothing was imported of, or that have problems")] = 0
    old_balance: Annotated[int, signed("sum of the old ledgers that could be read")] = 0
    balance: Annotated[int, signed("sum of the journals after the import")] = 0
    reports: Annotated[list[OrgReport], means("org by org")] = field(default_factory=list)
    more: Annotated[int, number("orgs beyond those listed")] = 0
    dry_run: Annotated[bool, means("true: nothing was imported")] = False
    seconds: f.Seconds = 0.0

    @shown
    def status(self) -> Annotated[Literal["applied", "unchanged", "planned"], means("unchanged: nothing was new")]:
        return "planned" if self.dry_run else "applied" if self.imported else "unchanged"

    @property
    def exit_code(self) -> int:
        return errors.PARTIAL if self.failed else errors.DONE

    def take(self, report: OrgReport) -> None:
        """Count the result of an org."""
        self.orgs += 1
        self.imported += report["entries"]
        self.failed += bool(report["problems"])
        self.old_balance += report["old_balance"] or 0
        self.balance += report["balance"] or 0
        if len(self.reports) < KEPT:
            self.reports.append(report)
        else:
            self.more += 1


class _OrgImport(NamedTuple):
    """The report of an org, and its new entries."""

    report: OrgReport
    entries: list[Entry]


class DevkitImporter:
    """Imports into one store, by one actor."""

    def __init__(self, store: Store, packs: Mapping[str, Pack], actor: str, now: Instant, *, dry_run: bool) -> None:
        self._store = store
        self._packs = packs
        self._actor = actor
        self._now = now
        self._dry_run = dry_run
        self._appender = Appender(store)
        # Sessions of orgs that are built and not appended yet: another org's topup of the same is no topup.
        self._sessions: dict[str, str] = {}

    def run(self, documents: Iterable[OrgDocuments]) -> Iterator[OrgReport]:
        """Import org after org, and report each once it is stored."""
        built: list[_OrgImport] = []
        for each in documents:
            built.append(self._build(each))
            if sum(len(done.entries) for done in built) >= TOGETHER:
                yield from self._store_all(built)
                built = []
        yield from self._store_all(built)

    def _store_all(self, built: list[_OrgImport]) -> Iterator[OrgReport]:
        entries = [entry for done in built for entry in done.entries]
        if not self._dry_run:
            self._appender.append(entries)
            self._appender.catch_up([done.report["org"] for done in built if not done.entries])
        yield from (done.report for done in built)

    def _build(self, documents: OrgDocuments) -> _OrgImport:
        try:
            old = org_of(documents)
            known, problems = self._known(old)
            builder = JournalBuilder(
                old=old,
                known=known,
                packs=self._packs,
                foreign_sessions=self._foreign_sessions(old),
                actor=self._actor,
                now=self._now,
            )
            entries = builder.build()
        except (Unusable, BadInput, Damaged) as problem:
            return _OrgImport(_report(documents.org, "failed", [str(problem)]), [])
        for entry in entries:
            if entry["kind"] == "topup":
                self._sessions[entry["session"]] = old.org
        status: Literal["imported", "unchanged", "planned"] = "imported" if entries else "unchanged"
        report = _report(old.org, "planned" if self._dry_run else status, [*problems, *builder.problems])
        report["entries"], report["old_balance"] = len(entries), old.balance
        report["balance"] = entries[-1]["balance"] if entries else known.tip.state.balance
        return _OrgImport(report, entries)

    def _foreign_sessions(self, old: OldOrg) -> frozenset[str]:
        """Return the sessions of an org that belong to another one already."""
        sessions = list(dict.fromkeys(entry.session for entry in old.entries if entry.session is not None))
        claims = self._store.claims.holders(sessions) if sessions else {}
        return frozenset(
            session
            for session in sessions
            if (session in claims and claims[session].org != old.org) or self._sessions.get(session, old.org) != old.org
        )

    def _known(self, old: OldOrg) -> tuple[ImportedHistory, list[str]]:
        """Return the part of an org that the journal has already, and its differences from the old data."""
        tip = self._store.journal.tip(old.org)
        if tip is None:
            return ImportedHistory(), []
        history = _HistoryReader()
        for entry in self._store.journal.read(old.org):
            history.take(entry)
        if not history.places and not history.counted:
            raise Unusable("the org has a journal of its own already, with nothing of devkit in it")
        known = ImportedHistory(
            tip=tip_of(tip),
            places=history.places,
            keys=frozenset(history.keys),
            counted=history.counted,
            expired=history.expired,
        )
        return known, list(history.differences(old))


class _HistoryReader:
    """The old data that a journal holds already."""

    def __init__(self) -> None:
        self.places: dict[str, int] = {}
        self.amounts: dict[str, tuple[str, int]] = {}
        self.keys: set[str] = set()
        self.counted: Counter[str] = Counter()
        self.expired: dict[int, int] = {}

    def take(self, entry: Entry) -> None:
        self.keys.add(entry["key"])
        imported = entry.get("imported")
        if imported is None or imported["source"] != SOURCE:
            if entry["kind"] == "expiration":
                self.expired[entry["lot"]] = entry["units"]
        elif imported["kind"] == "usage":
            self.counted[imported["id"]] += entry.get("units", 0) if entry["kind"] == "usage" else 0
        elif imported["kind"] not in ("expiry", "subscription"):
            self.places[imported["id"]] = entry["seq"]
            self.amounts[imported["id"]] = (imported["kind"], entry["amount"])

    def differences(self, old: OldOrg) -> Iterator[str]:
        now = {entry.id: entry for entry in old.entries}
        for id_, (kind, amount) in self.amounts.items():
            entry = now.get(id_)
            if entry is None:
                yield f"entry {id_} ({kind}, {amount:+}) was brought in before, and is gone from the old ledger"
            elif entry.kind != kind or (entry.amount != amount and entry.expires is None):
                yield f"entry {id_} came in as {kind} {amount:+}, and is {entry.kind} {entry.amount:+} now"
        last = {entry.ledger: place for place, entry in enumerate(old.entries) if entry.id in self.places}
        for place, entry in enumerate(old.entries):
            is_before = place < last.get(entry.ledger, -1)
            if is_before and entry.id not in self.places and entry.amount and entry.expires is None:
                yield f"entry {entry.id} ({entry.kind}, {entry.amount:+}) stands before others that were brought in"


def _report(org: str, status: Literal["imported", "unchanged", "planned", "failed"], problems: list[str]) -> OrgReport:
    return {"org": org, "status": status, "entries": 0, "old_balance": None, "balance": None, "problems": problems}
