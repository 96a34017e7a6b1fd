"""Verify on a store: heads and claims beside journals, what cannot be read, and what others write meanwhile."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, cast

import pytest

from meterctl.core.domain.canonical import entry_hash
from meterctl.core.errors import Damaged, StoreDamaged, raise_if_damaged
from meterctl.core.model import Entry
from meterctl.core.ports import Head, StoredDocument
from meterctl.core.results import Verification
from meterctl.core.verify import (
    Check,
    Checked,
    Seal,
    Sealed,
    StorePart,
    check_part,
    repair_heads,
    verify_all,
    verify_org,
)
from meterctl.core.verify import store_check as verify_store
from tests.builders import make_claim
from tests.desk import NOON, Desk
from tests.journals import ORGS, journal, tell_story
from tests.memory_store import MemoryHeads, MemoryJournal, MemoryStore


def head_of(desk: Desk, org: str = "acme") -> Head:
    return raise_if_damaged(desk.store.heads.get([org])[org])


def found_in(store: MemoryStore) -> list[tuple[str | None, int]]:
    return [(finding.org, finding.check) for finding in verify_all(store).findings]


class Told(NamedTuple):
    """All that a check of a store tells."""

    result: Verification
    tips: list[tuple[str, int, str]]
    progress: tuple[int, int]


def checked(store: MemoryStore, *, in_parts: bool, seal: Seal | None = None) -> Told:
    """A check of ``store``: the orgs by this function, or in parts as by other processes."""

    def check(parts: Iterable[StorePart]) -> Iterator[Checked]:
        return (check_part(store, part) for part in parts)

    tips: list[tuple[str, int, str]] = []
    progress: list[tuple[int, int]] = [(0, 0)]
    result = verify_all(
        store,
        seal=seal,
        progress=lambda *done: progress.append(done),
        on_tip=lambda *tip: tips.append(tip),
        checker=check if in_parts else None,
    )
    result.seconds = 0.0
    return Told(result, tips, progress[-1])


def memory(desk: Desk) -> MemoryStore:
    return cast(MemoryStore, desk.store)


@pytest.mark.parametrize(
    "changes",
    [
        {"seq": 99},
        {"seq": 1},
        {"hash": "0" * 64},
        {"balance": 1},
        {"balance": 988.0},
        {"state": {}},
        {"state": {"lots": [{"id": 1, "remaining": 988, "expires_at": 5}]}},
        {"at": NOON},
        {"next_expiry": None},
        {"next_due": NOON},
        {"key": "x"},
    ],
)
def test_a_head_that_is_not_the_last_entrys_is_found_and_mended(changes: dict[str, Any]) -> None:
    desk = tell_story()
    right = head_of(desk)
    desk.store.heads.replace([right._replace(**changes)])
    assert found_in(memory(desk)) == [("acme", Check.HEAD)]
    assert "--repair-heads" in verify_org(desk.store, "acme").findings[0].message
    assert repair_heads(desk.store) == (3, 1, [])
    assert head_of(desk) == right
    assert found_in(memory(desk)) == []
    assert repair_heads(desk.store) == (3, 0, [])


def test_lost_heads_are_found_and_made_again() -> None:
    desk = tell_story()
    before = list(desk.store.heads.read())
    memory(desk).heads = MemoryHeads()
    assert found_in(memory(desk)) == [(org, Check.HEAD) for org in ORGS]
    assert repair_heads(desk.store) == (3, 3, [])
    assert list(desk.store.heads.read()) == before


def test_a_head_without_a_journal_is_found() -> None:
    desk = tell_story()
    desk.store.heads.replace([head_of(desk)._replace(org="bb"), head_of(desk)._replace(org="zz")])
    assert found_in(memory(desk)) == [("bb", Check.HEAD), ("zz", Check.HEAD)]
    assert [finding.check for finding in verify_org(desk.store, "zz").findings] == [Check.HEAD]


@pytest.mark.parametrize("changes", [{"seq": "40"}, {"seq": None}, {"hash": {1}}, {"state": Ellipsis}])
def test_a_head_that_no_store_would_write_is_found_and_replaced(changes: dict[str, Any]) -> None:
    desk = tell_story()
    heads, right = memory(desk).heads, head_of(desk)
    heads._heads["acme"] = right._replace(**changes)
    assert found_in(memory(desk)) == [("acme", Check.HEAD)]
    assert repair_heads(desk.store).mended == 1
    assert head_of(desk) == right


def test_many_orgs_and_topups_are_looked_up_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meterctl.core.verify.store_check.CHUNK", 2)
    desk = tell_story()
    assert verify_all(desk.store).ok
    memory(desk).heads = MemoryHeads()
    assert repair_heads(desk.store).mended == 3


def test_a_head_that_is_a_moment_late_or_ahead_is_no_finding() -> None:
    desk = tell_story()
    old = head_of(desk)
    desk.debit(1, "since")
    new = head_of(desk)

    class Late(MemoryHeads):
        asked = 0

        def get(self, orgs: Iterable[str]) -> dict[str, Head | Damaged]:
            self.asked += 1
            return {"acme": old} if self.asked == 1 else super().get(orgs)

    late = Late()
    late.replace([new])
    memory(desk).heads = late
    assert verify_org(desk.store, "acme").ok
    entries = desk.entries()

    class Behind(MemoryJournal):
        """Was read just before the last entry was appended."""

        def read(self, *_: Any, **__: Any) -> Iterator[Entry]:
            return iter(entries[:-1])

    behind = Behind()
    behind.append(entries)
    memory(desk).journal = behind
    assert verify_org(desk.store, "acme").ok


def test_claims_without_topup_and_topups_without_claim_are_found() -> None:
    desk = tell_story()
    claims = memory(desk).claims._claims
    desk.store.claims.take([make_claim("cs_lost", "acme")])
    assert found_in(memory(desk)) == [("acme", Check.CLAIM)]
    del claims["cs_lost"], claims["cs_1"]
    assert found_in(memory(desk)) == [("acme", Check.CLAIM)]
    claims["cs_1"] = make_claim("cs_1", "beta")
    assert found_in(memory(desk)) == [("acme", Check.CLAIM), ("beta", Check.CLAIM)]
    claims["cs_1"] = make_claim("cs_1", "acme")
    del claims["cs_moved"]
    assert found_in(memory(desk)) == [("acme", Check.CLAIM), ("beta", Check.CLAIM)]
    claims["cs_moved"] = make_claim("cs_moved", "acme")
    assert found_in(memory(desk)) == [("beta", Check.CLAIM)]


def test_a_claim_that_is_damaged_is_found() -> None:
    desk = tell_story()
    memory(desk).claims._claims["cs_1"] = make_claim("cs_1", cast(Any, 5), "cs_1")
    assert found_in(memory(desk)) == [("acme", Check.CLAIM), (None, Check.CLAIM)]


def test_the_last_entry_makes_no_head_if_its_state_is_none() -> None:
    desk = tell_story()
    entry = desk.tip("plain")
    entry["state"] = {}
    entry["hash"] = entry_hash(entry)
    broken = MemoryJournal()
    broken.append([*desk.entries(), *desk.entries("beta"), entry])
    memory(desk).journal = broken
    assert set(found_in(memory(desk))) == {("plain", Check.STATE)}


def test_a_topup_that_was_appended_a_moment_after_its_claim_was_read_is_no_finding() -> None:
    desk = tell_story()
    journal = desk.store.journal

    class Late(MemoryJournal):
        late = True

        def by_keys(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Entry]:
            if len(names := list(keys)) > 1 and self.late:
                self.late = False
                return {}
            return super().by_keys(names)

    late = Late()
    for org in ORGS:
        late.append(list(journal.read(org)))
    memory(desk).journal = late
    assert found_in(memory(desk)) == []
    assert not late.late


class Torn(MemoryJournal):
    """A journal of which a page cannot be read: the one with an entry of ``acme``."""

    def __init__(self, whole: Any, torn: int) -> None:
        super().__init__()
        self._torn = torn
        for org in ORGS:
            self.append(list(whole.read(org)))

    def documents(self, org: str, *, seq: int | None = None) -> Iterator[StoredDocument]:
        for document in super().documents(org, seq=seq):
            self._look(org, cast(Entry, document.content)["seq"])
            yield document

    def by_seq(self, org: str, seq: int) -> Entry | None:
        self._look(org, seq)
        return super().by_seq(org, seq)

    def by_keys(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Entry]:
        names = list(keys)
        for org, key in names:
            self._look(org, self._seqs.get((org, key), 0))
        return super().by_keys(names)

    def _look(self, org: str, seq: int) -> None:
        if (org, seq) == ("acme", self._torn):
            raise StoreDamaged("database disk image is malformed")


def torn_store(place: int) -> Desk:
    desk = tell_story()
    memory(desk).journal = Torn(desk.store.journal, place)
    return desk


@pytest.mark.parametrize("place", [1, len(journal())])
def test_an_entry_on_a_damaged_page_is_found_and_other_orgs_are_still_checked(place: int) -> None:
    result = verify_all(torn_store(place).store)
    assert ("acme", Check.FORM) in {(finding.org, finding.check) for finding in result.findings}
    assert result.orgs == 3
    assert {finding.org for finding in result.findings} == {"acme"}


def test_a_head_of_an_entry_that_cannot_be_read_stays_as_it_is() -> None:
    desk = torn_store(len(journal()))
    desk.store.heads.replace([head_of(desk)._replace(hash="x")])
    assert repair_heads(desk.store) == (3, 0, ["acme"])
    assert head_of(desk).hash == "x"


@pytest.mark.parametrize("size", [1, 2, 50])
def test_checked_in_parts_the_same_is_found_told_and_sealed(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(verify_store, "PART", size)
    desk = tell_story()
    for org in ("acme", "beta"):
        desk.store.heads.replace([head_of(desk, org)._replace(hash="0" * 64)])
    memory(desk).claims._claims["cs_1"] = make_claim("cs_1", "beta")
    sealed = {org: Sealed(99, "") for org in ("acme", "beta", "zebra")}
    alone, parts = (checked(memory(desk), in_parts=way, seal=Seal(dict(sealed))) for way in (False, True))
    assert parts == alone
    assert len(alone.tips) == alone.result.orgs == len(ORGS)
    assert alone.progress == (alone.result.orgs, alone.result.entries)
    assert [(finding.org, finding.check) for finding in alone.result.findings] == [
        ("acme", Check.SEAL),
        ("acme", Check.CLAIM),
        ("acme", Check.HEAD),
        ("beta", Check.SEAL),
        ("beta", Check.HEAD),
        ("beta", Check.CLAIM),
        ("zebra", Check.SEAL),
    ]


def test_what_is_found_in_parts_is_counted_beyond_what_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meterctl.core.verify.report.MOST_FINDINGS", 2)
    monkeypatch.setattr(verify_store, "PART", 1)
    seal = Seal({org: Sealed(99, "") for org in (*ORGS, "zebra")})
    result = checked(memory(tell_story()), in_parts=True, seal=seal).result
    assert (len(result.findings), result.more) == (2, len(ORGS) - 1)


def test_parts_are_checked_without_anybody_listening() -> None:
    store = memory(tell_story())
    told = verify_all(store, checker=lambda parts: (check_part(store, part) for part in parts))
    assert (told.ok, told.orgs, told.entries) == (True, len(ORGS), verify_all(store).entries)
