"""Defects to plant, to see that the simulator finds them: each is a mistake that a ledger like this could have.

They are put in from outside, for as long as a test runs.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple, cast
from unittest.mock import patch

from meterctl.core.booking import chunk_writer, payment_names
from meterctl.core.booking.chunk_decider import Decision
from meterctl.core.booking.chunk_reader import ChunkReader
from meterctl.core.booking.chunk_writer import Booked, Pace, Writer
from meterctl.core.booking.journal_view import OrgView, OrgViews
from meterctl.core.domain.canonical import canonical_text, entry_hash
from meterctl.core.errors import StoreUnreachable
from meterctl.core.model import MAX_UNITS, Entry
from meterctl.core.ports import Head
from tests.memory_store import MemoryHeads, MemoryJournal


class Defect(NamedTuple):
    """``plant`` puts it in and takes it out again; ``script`` names the one of `explore.SCRIPTS` that shows it."""

    name: str
    script: str
    plant: Callable[[], AbstractContextManager[Any]]


def _instead(owner: Any, name: str, wrong: Any) -> Callable[[], AbstractContextManager[Any]]:
    return lambda: patch.object(owner, name, wrong)


# What a lost answer means


def _append_believing(self: Writer, entries: Sequence[Entry], _: Pace) -> int:
    try:
        done = self.store.journal.append(entries)
    except StoreUnreachable:
        done = len(entries)
    self.heads.stored(entries[:done])
    return done


def _append_under_new_keys(self: Writer, entries: Sequence[Entry], pace: Pace) -> int:
    done = 0
    while done < len(entries):  # bounded: by the pace
        try:
            done += self.store.journal.append(entries[done:])
            break
        except StoreUnreachable as trouble:
            pace.wait(trouble)
            entries = [*entries[:done], *(_renamed(entry) for entry in entries[done:])]
    self.heads.stored(entries[:done])
    return done


def _renamed(entry: Entry) -> Entry:
    renamed = {**entry, "key": f"{entry['key']}+"}
    del renamed["hash"]
    return cast(Entry, {**renamed, "hash": entry_hash(renamed)})


def _is_anyones(self: Writer, entry: Entry) -> bool:
    name = (entry["org"], entry["key"])
    return name in self.store.journal.by_keys([name])


# What a part of a chunk means


def _rounded_up(outcomes: Sequence[Decision], taken: int) -> tuple[int, tuple[Entry, ...]]:
    settled, cut = _SETTLED(outcomes, taken)
    return (settled + 1, ()) if cut else (settled, cut)


_SETTLED = chunk_writer._settled


def _booked_whole(self: Writer, outcomes: Sequence[Decision], *rest: Any) -> Booked:
    booked = _BOOK(self, outcomes, *rest)
    return booked._replace(settled=len(outcomes), clashed=False) if booked.settled else booked


_BOOK = Writer.book


# Who has a session


def _claim_later(self: Writer, outcomes: Sequence[Decision], *rest: Any) -> Booked:
    self._claim = lambda outcomes, claims: outcomes  # type: ignore[method-assign] # noqa: ARG005
    try:
        booked = _BOOK(self, outcomes, *rest)
    finally:
        del self._claim
    settled = outcomes[: booked.settled]
    self._claim(settled, [claim for outcome in settled for claim in outcome.claims])
    return booked


# What a no rests on


@contextmanager
def _heads_are_trusted() -> Iterator[None]:
    with (
        patch.object(ChunkReader, "make_sure", lambda *_, **__: False),
        patch.object(OrgViews, "make_sure", lambda *_: None),
    ):
        yield


def _no_end(_: OrgView) -> int:
    return MAX_UNITS


def _keep_views(self: OrgViews) -> None:
    for view in self._views.values():
        view.pending, view.flying = [], []


# The store


def _put_any(self: MemoryHeads, heads: Sequence[Head]) -> None:
    self._heads |= {head.org: head for head in heads}


def _append_over(self: MemoryJournal, entries: Sequence[Entry]) -> int:
    for count, entry in enumerate(entries):
        name = (entry["org"], entry["key"])
        if name in self._seqs:
            return count
        self._texts.setdefault(entry["org"], {})[entry["seq"]] = canonical_text(entry)
        self._seqs[name] = entry["seq"]
    return len(entries)


def _append_rest(self: MemoryJournal, entries: Sequence[Entry]) -> int:
    """An insert that is not ordered: what clashes is left out, and the rest goes in."""
    taken = [_APPEND(self, [entry]) for entry in entries]
    return taken.index(0) if 0 in taken else len(taken)


_APPEND = MemoryJournal.append


DEFECTS = [
    Defect("a lost answer counts as booked", "two debits of one org", _instead(Writer, "_append", _append_believing)),
    Defect(
        "what got no answer is sent again under a new key",
        "a refund and a debit",
        _instead(Writer, "_append", _append_under_new_keys),
    ),
    Defect(
        "after a lost answer, anyone's entry counts as ours",
        "one debit sent twice",
        _instead(Writer, "_is_ours", _is_anyones),
    ),
    Defect("keys are not looked up", "one debit sent twice", _instead(ChunkReader, "look_up", lambda *_: None)),
    Defect(
        "a request whose due events got in counts as booked",
        "something due and two debits",
        _instead(chunk_writer, "_settled", _rounded_up),
    ),
    Defect(
        "a chunk that got in partly counts as booked", "a chunk and a debit", _instead(Writer, "book", _booked_whole)
    ),
    Defect("the claim is taken after the credit", "one session for two orgs", _instead(Writer, "book", _claim_later)),
    Defect(
        "a claim moves while the pack is still there",
        "one session for two orgs",
        _instead(payment_names, "undo_is_booked", lambda *_: True),
    ),
    Defect("heads are trusted", "a chunk and a debit", _heads_are_trusted),
    Defect("a no mixes two moments", "an undo and what it undoes", _instead(OrgView, "_end_of_stored", _no_end)),
    Defect(
        "a replay tells an older balance",
        "a chunk sent twice",
        _instead(OrgView, "refresh", lambda _: None),
    ),
    Defect("what was read is kept after a clash", "a chunk and a debit", _instead(OrgViews, "forget", _keep_views)),
    Defect("heads go back", "something due and two debits", _instead(MemoryHeads, "put", _put_any)),
    Defect(
        "the store takes a seq twice",
        "two debits of one org",
        _instead(MemoryJournal, "append", _append_over),
    ),
    Defect("the store goes on behind a clash", "a chunk and a debit", _instead(MemoryJournal, "append", _append_rest)),
]
