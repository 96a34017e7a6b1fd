"""The checks of one org's journal, entry by entry."""

from typing import NamedTuple, cast

from meterctl.core.domain.canonical import NOT_CANONICAL, canonical_bytes, chain_hash, hashed_bytes, without_hash
from meterctl.core.domain.digest_set import DigestSet
from meterctl.core.domain.effects import apply, draw_order
from meterctl.core.domain.entry_shape import is_usual, malformed
from meterctl.core.domain.value_shape import is_number, is_state
from meterctl.core.model import EMPTY, NO_HASH, Entry, Instant, State, state_document, state_from_document
from meterctl.core.results import Finding
from meterctl.core.verify.checks import Check
from meterctl.core.verify.key_check import check_key
from meterctl.core.verify.lookback import Lookup, Past
from meterctl.core.verify.step import JournalStep
from meterctl.core.verify.transition_checks import check_step


class Sealed(NamedTuple):
    """The seal of an org: the hash of its entry ``seq``."""

    seq: int
    hash: str


class JournalCheck:
    """Checks 1 to 12 of one journal. Feed it every entry in order, then call `finish`.

    Each entry is compared with the one before it, so a changed entry gives one or two findings, not one for each later
    entry. The first entry after a gap or an unreadable one is accepted as it is.

    Memory: the org's state, a few bytes per key (see `DigestSet`), and a number per expired lot and refunded session.

    ``seq``, ``hash`` and ``tip`` are those of the last entry so far; ``text`` is the part of it that its hash covers.
    """

    def __init__(self, org: str, lookup: Lookup, seal: Sealed | None = None) -> None:
        self.org = org
        self.seq = 0
        self.hash = NO_HASH
        self.tip: Entry | None = None
        self.text = b""
        self._at = Instant("")
        self._balance = 0
        self._state = EMPTY
        self._settled: int | None = 0
        self._blind = False  # True if the state before the next entry is unknown
        self._keys = DigestSet()
        self._past = Past(lookup)
        self._seal = seal
        self._findings: list[Finding] = []
        self._place = 0  # the seq for findings

    def feed(self, document: object, text: bytes | None = None) -> list[Finding]:
        """Return the findings of the next entry. ``text`` is the one that it was read from, where the store
        keeps the canonical form."""
        self._findings = []
        problem = None if text and is_usual(document, text) else malformed(document)
        if problem is None:
            entry = cast(Entry, document)
            try:
                written = text is None or text == canonical_bytes(entry)
                self.text = without_hash(text, entry["hash"]) if text and written else hashed_bytes(entry)
                digest = chain_hash(entry["prev"], self.text)
            except NOT_CANONICAL as error:
                problem = f"it cannot be written as JSON in UTF-8: {error}"
            else:
                self._check(entry, digest)
                if not written:
                    self._note(Check.FORM, "its text is not in canonical form: readers may see different entries")
                return self._findings
        seq = document.get("seq") if isinstance(document, dict) else None
        return self._unusable(problem, seq if is_number(type(seq)) else self.seq + 1)

    @property
    def at(self) -> Instant:
        """The time at which the last entry takes effect."""
        return self._at

    def unreadable(self, message: str) -> list[Finding]:
        """Return the finding for an unreadable entry in the next place."""
        return self._unusable(message, None)

    def finish(self) -> list[Finding]:
        """Return the findings at the journal's end."""
        self._findings, self._place = [], self.seq
        week = self._state.week
        if week is not None and not self._blind:
            self._check_week(week.used, sum(week.breakdown.values()))
        if self._seal is not None and self.seq < self._seal.seq:
            message = f"the journal ends at entry {self.seq}, but was sealed at entry {self._seal.seq}"
            self._note(Check.SEAL, message)
        return self._findings

    def _unusable(self, message: str, seq: int | None) -> list[Finding]:
        self._findings = [Finding(self.org, seq, int(Check.FORM), message)]
        self.seq += 1
        self.tip = None
        self._blind = True
        return self._findings

    def _note(self, check: Check, message: str) -> None:
        self._findings.append(Finding(self.org, self._place, int(check), message))

    def _check(self, entry: Entry, digest: str) -> None:
        self._place = entry["seq"]
        self._check_order(entry)
        check_key(entry, self._note)
        if not self._keys.add(entry["key"]):
            self._note(Check.KEY, f"the key {entry['key']!r} was used before")
        self._check_hash(entry, digest)
        after = self._check_state(entry)
        self._check_sums(entry, after)
        self._advance(entry, after)

    # -- checks

    def _check_order(self, entry: Entry) -> None:
        seq, at = entry["seq"], entry["at"]
        if entry["org"] != self.org:
            self._note(Check.ORDER, f"it is an entry of {entry['org']!r}")
        if seq != self.seq + 1:
            self._note(Check.ORDER, f"entry {seq} follows entry {self.seq}")
            self._blind = True
        if at < self._at:
            self._note(Check.ORDER, f"it takes effect at {at}, before the last entry at {self._at}")
        if self._blind:
            return
        occurred_at = entry.get("occurred_at")
        if occurred_at is not None and not occurred_at < at == self._at:
            self._note(
                Check.ORDER,
                f"it occurred at {occurred_at} and follows an entry of {self._at}, so it cannot take effect at {at}",
            )
        if entry["prev"] != self.hash:
            self._note(Check.CHAIN, "prev is not the hash of the entry before")

    def _expected(self, entry: Entry) -> State | None:
        """Check the entry's effects and return the resulting state; None if they cannot be applied."""
        check_step(JournalStep(entry, self._state, self._at, self._past, self._note))
        try:
            return apply(self._state, entry["seq"], entry["kind"], entry)
        except ValueError as problem:
            self._note(Check.LOTS, str(problem))
            return None

    def _check_hash(self, entry: Entry, digest: str) -> None:
        if digest != entry["hash"]:
            self._note(Check.CHAIN, f"the hash does not match the content, whose hash is {digest}")
        if self._seal is not None and entry["seq"] == self._seal.seq and digest != self._seal.hash:
            self._note(Check.SEAL, "it differs from the sealed entry")

    def _check_state(self, entry: Entry) -> State:
        """Return the state after ``entry``: the recorded one, if readable."""
        expected = None if self._blind else self._expected(entry)
        if expected is not None:
            if self._has_state(expected):
                return expected
            self._note(Check.STATE, "its state does not follow from its effects and the state before it")
        if is_state(entry["state"]):
            state = state_from_document(entry["state"])
            return state._replace(lots=tuple(sorted(state.lots, key=draw_order)))
        self._note(Check.STATE, "its state is malformed")
        return self._state if expected is None else expected

    def _has_state(self, state: State) -> bool:
        """Return True if ``state`` stands in the entry. The texts are compared: they tell 1 from 1.0 and from true.

        Nothing else of this name is an object, and inside of a text its quotes would be escaped."""
        place = self.text.find(b'"state":{') + len(b'"state":')
        return self.text.startswith(canonical_bytes(state_document(state)), place)

    def _check_sums(self, entry: Entry, after: State) -> None:
        balance, debt = entry["balance"], after.debt
        if not self._blind and balance != self._balance + entry["amount"]:
            self._note(
                Check.SUM, f"the balance {self._balance} before it plus its amount {entry['amount']} is not {balance}"
            )
        if balance != after.balance:
            self._note(Check.BALANCE, f"lots less debt are {after.balance}, but the balance is {balance}")
        if after.lots and (debt.owed or debt.overage):
            self._note(Check.BALANCE, f"there are lots despite a debt of {debt.total}")
        if debt.owed < 0 or debt.overage < 0:
            self._note(Check.BALANCE, f"more debt was repaid than owed: {debt}")

    def _check_week(self, used: int, week_units: int) -> None:
        if self._settled is not None and used != week_units + self._settled:
            self._note(
                Check.WEEK, f"{used} units are used, but {week_units} are in its breakdown and {self._settled} settled"
            )

    # -- moving on

    def _advance(self, entry: Entry, after: State) -> None:
        if entry["kind"] == "reset":
            closed = entry["closed"]
            self._check_week(closed["used"], sum(closed["breakdown"].values()))
            self._settled = entry["settled"]
        elif self._blind:
            self._settled = None
        elif entry.get("opened"):
            self._settled = 0
        self._past.remember(entry)
        self.seq, self.hash, self.tip = entry["seq"], entry["hash"], entry
        self._at = max(entry["at"], self._at)
        self._balance, self._state = entry["balance"], after
        self._blind = False
