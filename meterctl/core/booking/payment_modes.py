"""Test and live payments: a store holds payments of one mode only.

The mode of a store is that of its topups that are not undone. The name of a Stripe checkout session tells the mode of
its payment; other names do not. Every credit passes this check, whichever way it comes in.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import chain, islice
from typing import NamedTuple

from meterctl.core.booking.journal_view import Name, names_of
from meterctl.core.domain.operations import CreditPack
from meterctl.core.errors import Damaged, PaymentRefused, Refusal, read_apart
from meterctl.core.model import Entry
from meterctl.core.ports import Claims, Store

#: The first letters of a session's name: live, and test.
_MARKS = {True: "cs_live_", False: "cs_test_"}

MODES = {True: "live", False: "test"}

#: Claims to look up together: at first, because the first one usually decides, and later.
_FIRST_CLAIMS, _CLAIMS = 8, 500


def mode_of(names: Iterable[str]) -> bool | None:
    """Return True for a live payment with these names, False for a test one, None if the names do not tell."""
    return next((live for name in names for live, mark in _MARKS.items() if name.startswith(mark)), None)


def differing(cause: str, held: bool) -> str:
    """Return the message for payments of another mode than the store's, which ``held`` is."""
    return f"{cause}, but the store holds {MODES[held]} payments"


class Evidence(NamedTuple):
    """Entries to judge by. ``look_up`` finds stored ones by org and key; ``decided`` may not be in the store yet.

    ``named``: modes of topups, by org and key, whose payment has just got another name.
    """

    look_up: Callable[[Collection[Name]], Mapping[Name, Entry]]
    decided: tuple[Mapping[Name, Entry], ...] = ()
    named: tuple[Mapping[Name, bool], ...] = ()

    def has_decided(self, name: Name) -> bool:
        return any(name in entries for entries in self.decided)

    def has_decided_topup(self, live: bool) -> bool:
        """Return True if a topup of this mode was decided or named, and no undo of it was decided."""
        topups = (
            name for entries in self.decided for name, entry in entries.items() if mode_of(names_of(entry)) == live
        )
        named = (name for modes in self.named for name, mode in modes.items() if mode == live)
        return any(not self.has_decided(_undo_of(name)) for name in chain(topups, named))

    def has_standing(self, topups: Collection[Name]) -> bool:
        """Return True if one of these keys is used, and not taken back."""
        undos = {name: _undo_of(name) for name in topups}
        entries = self.look_up([*undos, *undos.values()]) if undos else {}
        return any(
            name in entries and undo not in entries and not self.has_decided(undo) for name, undo in undos.items()
        )


def _undo_of(topup: Name) -> Name:
    return topup[0], f"undo:{topup[1]}"


def mode_by_marks(has: Callable[[str], bool]) -> bool | None:
    """Return the mode of a source that ``has`` sessions with the given first letters; None if they do not tell."""
    return next((live for live, mark in _MARKS.items() if has(mark)), None)


def store_mode(store: Store) -> bool | None:
    """Return True for a store with live payments, False for one with test payments, None without either."""

    def look_up(names: Collection[Name]) -> Mapping[Name, Entry]:
        return read_apart(store.journal.by_keys, names)[0]  # a damaged entry tells nothing

    return PaymentModes(store.claims).of_store(Evidence(look_up))


def check_source(live: bool | None, source: str, store: Store) -> None:
    """Raise `PaymentRefused` if journals from ``source`` hold payments of another mode than the store's."""
    if live is not None:
        _check(live, f"{source} holds {MODES[live]} payments", "check the source;", store)


def check_key(live: bool, store: Store) -> None:
    """Raise `PaymentRefused` for a test key on a store with live payments, and for a live key on one with test ones."""
    _check(live, f"the key is a {MODES[live]} key", f"set STRIPE_API_KEY to a {MODES[not live]} key,", store)


def _check(live: bool, cause: str, fix: str, store: Store) -> None:
    held = store_mode(store)
    if held is not None and held != live:
        hint = f"{fix} name another store (--store), or undo those payments first"
        raise PaymentRefused(differing(cause, held), hint=hint, code="mode_mismatch")


class JournalModes:
    """The mode of journals that are read entry by entry, as that of a store."""

    def __init__(self) -> None:
        self._standing: dict[int, bool] = {}
        self._modes: set[bool] = set()

    def take(self, entry: Entry) -> None:
        """Learn of the next entry of a journal."""
        kind = entry["kind"]
        if kind == "reversal":
            self._standing.pop(entry["reverses"], None)
        elif kind == "topup" and (live := mode_of(names_of(entry))) is not None:
            self._standing[entry["seq"]] = live

    def end(self) -> None:
        """Learn that the journal ends, and another one may begin."""
        self._modes.update(self._standing.values())
        self._standing = {}

    @property
    def live(self) -> bool | None:
        return max(self._modes, default=None)


class PaymentModes:
    """The modes of all topups that are not undone, each looked for once."""

    def __init__(self, claims: Claims) -> None:
        self._claims = claims
        self._known: dict[bool, bool] = {}

    def of_store(self, evidence: Evidence) -> bool | None:
        """Return True for a store with live payments, False for one with test payments, None without either."""
        return next((live for live in _MARKS if self._holds(live, evidence)), None)

    def refusal(self, operation: CreditPack, evidence: Evidence) -> Refusal | None:
        """Return a refusal if the payment has another mode than the store."""
        live = mode_of(operation.all_names)
        held = None if live is None else self.of_store(evidence)
        if live is None or held is None or held == live:
            return None
        name = next(name for name in operation.all_names if name.startswith(_MARKS[live]))
        return Refusal("mode_mismatch", differing(f"{name} is a {MODES[live]} payment", held))

    def note(self, entry: Entry) -> None:
        """Learn of an entry that was just decided."""
        kind = entry["kind"]
        if kind == "reversal":
            self._known.clear()
        elif kind == "topup" and (live := mode_of(names_of(entry))) is not None:
            self.note_name(live)

    def note_name(self, live: bool) -> None:
        """Learn that a topup has a name of this mode."""
        self._known[live] = True

    def _holds(self, live: bool, evidence: Evidence) -> bool:
        """Return True if a topup of this mode is not undone."""
        if live not in self._known:
            self._known[live] = evidence.has_decided_topup(live) or self._is_stored(live, evidence)
        return self._known[live]

    def _is_stored(self, live: bool, evidence: Evidence) -> bool:
        mark = _MARKS[live]
        claims, size = iter(self._claims.read(after=mark)), _FIRST_CLAIMS
        while page := list(islice(claims, size)):  # bounded: by the claims
            # A damaged claim tells nothing. `doctor` reports it, and it must not stop another payment.
            sound = [claim for claim in page if not isinstance(claim, Damaged)]
            keys = [(claim.org, key) for claim in sound if claim.name.startswith(mark) and (key := claim.topup_key)]
            if evidence.has_standing(keys):
                return True
            if sound and not sound[-1].name.startswith(mark):
                return False
            size = _CLAIMS
        return False
