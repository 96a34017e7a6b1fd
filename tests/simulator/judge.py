"""Whether a run kept what the ledger promises: judged by what is stored and what was told, when all is over."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import cast

from meterctl.core.booking.chunk_decider import Batch
from meterctl.core.booking.chunk_reader import ChunkReader
from meterctl.core.booking.journal_view import OrgViews
from meterctl.core.booking.ledger import Ledger
from meterctl.core.domain.due_events import CLOSE_WEEK, EXPIRE, PLAN_DUE, RUN_OUT, state_at
from meterctl.core.domain.entries import undo_key
from meterctl.core.domain.instants import from_millis
from meterctl.core.domain.operation_documents import request_from_document
from meterctl.core.domain.operations import BookDue, CreditPack, Operation, Request, Undo
from meterctl.core.domain.policy import PlanBook
from meterctl.core.domain.unit_operations import NEVER
from meterctl.core.errors import sound
from meterctl.core.model import Claim, Entry, state_after
from meterctl.core.ports import EntryFilter, Store
from meterctl.core.results import Finding, Receipt
from meterctl.core.sweep.sweeper import Sweeper
from meterctl.core.verify import Check, repair_heads, verify_all
from meterctl.process.clock import FixedClock
from tests.property.invariants import check_entries
from tests.property.naive import Naive, moment
from tests.simulator.world import Told, World

#: The operations of entries that time itself brings.
DUE = frozenset({EXPIRE, RUN_OUT, CLOSE_WEEK, PLAN_DUE})


class Broken(AssertionError):
    """A promise was not kept: ``promise`` names which, the message how."""

    def __init__(self, promise: str, how: object = "") -> None:
        super().__init__(f"{promise}: {how}")
        self.promise = promise


def expect(kept: object, promise: str, how: object = "") -> None:
    if not kept:
        raise Broken(promise, how)


class Judge:
    """Judges a world whose workers have all ended."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._log = world.log
        self._store = world.ground.store
        self._terms = world.script.terms
        self._plans = PlanBook(self._store.plans.all)
        self._now = from_millis(world.scheduler.now)
        self._requests = [request for requests in world.requests.values() for request in requests]

    def judge(self) -> None:
        self._world.scheduler.land(everything=True)
        self.journals = self._journals()
        self._log.counts["entries"] = sum(map(len, self.journals.values()))
        self._judge_told()
        self._judge_seen()
        self._judge_sweeps_and_verifications()
        self._judge_heads()
        self._run_everything_again()
        self._judge_store()
        self._judge_entries()
        self._judge_naively()

    def _journals(self) -> dict[str, list[Entry]]:
        return {org: list(self._store.journal.read(org)) for org in self._store.journal.orgs()}

    # -- what was told

    def _judge_told(self) -> None:
        applied: Counter[tuple[str, int]] = Counter()
        for told in self._log.told:
            org = told.request.operation.org
            expect(told.status not in ("failed", "invalid", "planned"), "every request is answered", told)
            if told.seq is not None:
                self._judge_entry_told(told)
                applied[org, told.seq] += told.status == "applied"
            if told.reason == "session_claimed":
                self._judge_claimed(told)
            elif told.status != "applied":
                self._judge_no(told)
        twice = [name for name, count in applied.items() if count > 1]
        expect(not twice, "nothing is told to be booked twice", twice)

    def _judge_entry_told(self, told: Told) -> None:
        """What was said to be booked is there, as it was said, and under its own key."""
        assert told.seq is not None
        journal = self.journals.get(told.request.operation.org, [])
        expect(told.seq <= len(journal), "what was acknowledged is there", told)
        entry = journal[told.seq - 1]
        expect(self._is_booked_as(told.request.operation, entry), "what was acknowledged is there", (told, entry))
        expect(told.hash in (None, entry["hash"]), "what was acknowledged is there", (told, entry))

    def _is_booked_as(self, operation: Operation, entry: Entry) -> bool:
        if entry["key"] == self._key(operation):
            return True
        # A payment that was credited under another of its names is the same one.
        is_credit = isinstance(operation, CreditPack) and entry["kind"] == "topup"
        return is_credit and entry["session"] in self._related(operation)  # type: ignore[arg-type]

    def _key(self, operation: Operation) -> str:
        """Return the key that ``operation`` is booked under: an undo by number takes that of the entry it names."""
        journal = self.journals.get(operation.org, [])
        if isinstance(operation, Undo) and operation.of is None and operation.seq is not None:
            return undo_key(journal[operation.seq - 1]) if operation.seq <= len(journal) else ""
        return operation.key

    def _related(self, operation: CreditPack) -> set[str]:
        """Return the names that the org's credits connect with those of ``operation``, one shared name at a time."""
        credits = [set(other.all_names) for other in self._credits() if other.org == operation.org]
        related = set(operation.all_names)
        while grown := [names for names in credits if names & related and not names <= related]:
            related.update(*grown)
        return related

    def _credits(self) -> list[CreditPack]:
        operations = (request.operation for request in self._requests)
        return [operation for operation in operations if isinstance(operation, CreditPack)]

    def _judge_no(self, told: Told) -> None:
        """An answer that books nothing was true at some time between question and answer."""
        org, wanted = told.request.operation.org, (told.status, told.reason, told.balance)
        found = set()
        pasts = (
            Past(self._store, height, holder, moved=moved)
            for height in range(told.high, told.low - 1, -1)
            for holder, moved in ((org, False), (None, False), (org, True))
        )
        for past in cast(Iterator[Store], pasts):
            for at in told.times:
                views = OrgViews(past)
                reader = ChunkReader(past, views.load([told.request]), views)
                (outcome,) = Batch(reader, self._terms, at).decide()
                found.add((outcome.receipt.status, outcome.receipt.reason, outcome.receipt.balance))
                if wanted in found:
                    return
        raise Broken("a no was true at some time between question and answer", (org, told, found))

    def _judge_claimed(self, told: Told) -> None:
        """Another org has had a name of the payment."""
        operation = told.request.operation
        assert isinstance(operation, CreditPack)
        names = set(operation.all_names)
        others = {other.org for other in self._credits() if names & set(other.all_names)}
        expect(others - {operation.org}, "a session is refused only where another org has it", told)

    def _judge_seen(self) -> None:
        """A balance that was read is that of some entry that was the last one meanwhile, at the time it names."""
        for seen in self._log.seen:
            balance = seen.balance
            expect(seen.low <= balance.seq <= seen.high, "a read shows what is there", seen)
            entry = self.journals[balance.org][balance.seq - 1] if balance.seq else None
            state = state_at(state_after(entry), balance.seq, balance.as_of, self._terms, self._plans)
            expect(state.balance == balance.balance, "a read shows what is there", seen)

    def _judge_sweeps_and_verifications(self) -> None:
        for sweep in self._log.sweeps:
            expect(not sweep.failed, "a sweep fails nowhere", sweep.errors)
        for verification in self._log.verifications:
            # A writer at work, or one that died, may have a claim or an entry without what comes after it.
            found = [finding for finding in verification.findings if finding.check not in (Check.HEAD, Check.CLAIM)]
            expect(not found, "verify finds nothing while others write", found)

    def _judge_heads(self) -> None:
        """A head that was put stays, or gives way to a newer one; where nothing went wrong, all are those of tips."""
        if self._log.counts["weather"]:
            return
        heads = {head.org: head.seq for head in sound(self._store.heads.read())}
        for org, seq in self._world.gate.heads.items():
            expect(heads[org] >= seq, "heads only go forward", (org, heads[org], seq))
        tips = {org: len(entries) for org, entries in self.journals.items()}
        expect(self._went_wrong() or heads == tips, "heads are those of the newest entries", (heads, tips))

    def _went_wrong(self) -> bool:
        return bool(self._log.counts["weather"] or self._world.gate.faults)

    # -- everything again

    def _run_everything_again(self) -> None:
        """What nobody was told is settled by running all again; once more, and nothing is booked."""
        first = self._book(self._requests)
        for told in self._log.told:
            if told.status in ("applied", "replayed") and not isinstance(told.request.operation, BookDue):
                again = next(receipt for request, receipt in first if request == told.request)
                expect(again.status == "replayed", "what was acknowledged is replayed", (told, again))
        for _, receipt in first:
            expect(receipt.status != "failed", "running everything again settles it", receipt)
        self._no_room = {
            (request.operation.org, request.operation.key)
            for request, receipt in first
            if receipt.reason == "amount_out_of_range"
        }
        before = self.journals = self._journals()
        settled = [pair for pair in first if pair[1].entry is not None]
        second = self._book([request for request, _ in settled])
        for (_, receipt), (_, again) in zip(settled, second, strict=True):
            expect(_is_answered_again(receipt, again), "running it once more books nothing", (receipt, again))
        expect(self._journals() == before, "running it once more books nothing")

    def _book(self, requests: Sequence[Request]) -> list[tuple[Request, Receipt]]:
        ledger = Ledger(self._store, FixedClock(self._now), self._terms)
        return list(zip(requests, ledger.execute(requests, chunk=17), strict=True))

    # -- what is stored

    def _judge_store(self) -> None:
        if self._log.counts["weather"]:
            repair_heads(self._store)
        self._sweep_until_nothing_is_due()
        self.journals = self._journals()
        found = [finding for finding in verify_all(self._store).findings if not self._is_excused(finding)]
        expect(not found, "verify finds nothing", found)
        for entries in self.journals.values():
            check_entries(entries)

    def _is_excused(self, finding: Finding) -> bool:
        if finding.check == Check.HEAD and self._went_wrong() and finding.org is not None:
            # Nobody asks again for what time brought.
            return _is_due(self.journals[finding.org][-1])
        return self._had_no_room(finding)

    def _had_no_room(self, finding: Finding) -> bool:
        """A credit that died behind its claim, and has no room in the org now, leaves a claim without an entry."""
        return finding.check == Check.CLAIM and any(
            org == finding.org and repr(key.removeprefix("session:")) in finding.message for org, key in self._no_room
        )

    def _sweep_until_nothing_is_due(self) -> None:
        ledger = Ledger(self._store, FixedClock(self._now), self._terms)
        Sweeper(ledger, "expire", "judge", holder="judge").one("acme")
        sweep = Sweeper(ledger, "expire", "judge", holder="judge").all()
        again = Sweeper(ledger, "expire", "judge", holder="judge").all()
        expect(again.due == 0 or sweep.locked_by, "after a sweep nothing is due", (sweep, again))

    def _judge_entries(self) -> None:
        """Nothing is booked that nobody asked for."""
        asked = {(request.operation.org, self._key(request.operation)) for request in self._requests}
        for org, entries in self.journals.items():
            for entry in entries:
                known = (org, entry["key"]) in asked or _is_due(entry)
                expect(known, "nothing is booked that nobody asked for", entry)

    def _judge_naively(self) -> None:
        """The journals are what the naive rules make of what was booked, one after the other."""
        for entries in self.journals.values():
            naive = Naive(self._terms, self._world.script.versions)
            for last, entry in zip([None, *entries], entries, strict=False):
                naive.accepted.append((self._said(entry, last), _operation(entry)))
            facts = naive.book(entries[0]["org"]).facts
            found = [(fact.number, fact.at, fact.amount, fact.alerts) for fact in facts]
            wanted = [
                (entry["seq"], moment(entry["at"]), entry["amount"], list(entry.get("alerts", ()))) for entry in entries
            ]
            differ = [pair for pair in zip(wanted, found, strict=False) if pair[0] != pair[1]]
            expect(found == wanted, "the naive rules agree", differ[:1] or (len(wanted), len(found)))

    def _said(self, entry: Entry, last: Entry | None) -> datetime:
        """When the caller said it happened. Where he said nothing, an entry ahead of the clock took its time from the
        one before it."""
        if "occurred_at" in entry:
            return moment(entry["occurred_at"])
        if _is_due(entry) or last is None or last["at"] < entry["at"] or entry["at"] <= entry["recorded_at"]:
            return moment(entry["at"])
        if entry["kind"] == "topup" and entry["expires_at"] is not None and entry["input"]["expires_at"] is None:
            days = self._terms.packs[entry["input"]["pack"]].expiry_days
            return moment(entry["expires_at"]) - timedelta(days=days or 0)
        return moment(entry["recorded_at"])


def _is_answered_again(first: Receipt, again: Receipt) -> bool:
    """Whether ``again`` answers a request that ``first`` settled. After a credit met another name of its payment, a
    request without that name may have booked it under its own; and another org may have it if the first topup was
    undone."""
    if first.status != "conflict":
        return again.status == "replayed"
    if again.status == "replayed":
        return again.entry is not None and again.entry["key"] == again.key
    return again.status == "conflict" or (again.reason == "session_claimed" and first.undone_by is not None)


def _is_due(entry: Entry) -> bool:
    return entry["input"]["op"] in DUE


def _operation(entry: Entry) -> Operation:
    if _is_due(entry):
        return BookDue(entry["org"])
    document = {**entry["input"], "org": entry["org"], "names": entry.get("names")}
    if entry["kind"] != "topup":
        del document["names"]
    if entry["kind"] == "extension":
        document["expires_at"] = document["expires_at"] or NEVER
    return request_from_document(document, actor="judge", reason="again").operation


class Past:
    """The store as it was for an org when its journal was so high; with the claims of ``holder``, if one is given, and
    with ``moved`` those too that went to another org after an undo."""

    def __init__(self, store: Store, height: int, holder: str | None, *, moved: bool) -> None:
        self.journal = _PastJournal(store, height)
        self.plans = store.plans
        self.claims = _OwnClaims(store, holder, self.journal if moved else None)


class _PastJournal:
    def __init__(self, store: Store, height: int) -> None:
        self._journal = store.journal
        self._height = height

    def tip(self, org: str) -> Entry | None:
        return self._journal.by_seq(org, self._height) if self._height else None

    def by_keys(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Entry]:
        found = self._journal.by_keys(list(keys))
        return {name: entry for name, entry in found.items() if entry["seq"] <= self._height}

    def by_seq(self, org: str, seq: int) -> Entry | None:
        return self._journal.by_seq(org, seq) if seq <= self._height else None

    def read(self, org: str, where: EntryFilter = EntryFilter(), *, newest_first: bool = False) -> Iterator[Entry]:
        before = self._height + 1 if where.before is None else min(where.before, self._height + 1)
        return self._journal.read(org, where._replace(before=before), newest_first=newest_first)

    def starting(self, orgs: Iterable[str], prefix: str) -> Iterator[Entry]:
        return (entry for entry in self._journal.starting(list(orgs), prefix) if entry["seq"] <= self._height)


class _OwnClaims:
    """The claims that one org holds when all is over. Those of others decide only what `_judge_claimed` judges."""

    def __init__(self, store: Store, holder: str | None, journal: _PastJournal | None) -> None:
        self._claims = store.claims
        self._holder = holder
        self._journal = journal

    def holders(self, names: Iterable[str]) -> dict[str, Claim]:
        if self._holder is None:
            return {}
        held = self._claims.holders(list(names))
        own = {name: claim for name, claim in held.items() if claim.org == self._holder}
        return self._moved() | own if self._journal is not None else own

    def _moved(self) -> dict[str, Claim]:
        assert self._journal is not None
        assert self._holder is not None
        topups = self._journal.read(self._holder, EntryFilter(kinds=("topup",)))
        return {
            name: Claim(name, self._holder, topup["session"])
            for topup in topups
            for name in (topup["session"], *topup["names"])
        }
