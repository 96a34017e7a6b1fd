"""Verify: nothing is found in what the rules wrote, and whatever was done to it is found, by the check that says so."""

import copy
import gc
import json
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterctl.core.domain.canonical import canonical_bytes, entry_hash
from meterctl.core.domain.digest_set import DigestSet
from meterctl.core.domain.operations import Adjust
from meterctl.core.domain.policy import Pack
from meterctl.core.domain.rules import undo
from meterctl.core.model import KINDS, MAX_UNITS, Entry
from meterctl.core.verify import Check, JournalCheck, verify_all, verify_org
from tests.desk import NOON, Desk
from tests.journals import (
    NO_DEBT,
    ORGS,
    Path,
    Scribe,
    another,
    check_entries,
    check_lines,
    clone,
    export_of,
    forge,
    journal,
    leaves,
    place_of,
    put,
    story,
    where,
)
from tests.memory_store import MemoryStore

# ------------------------------------------------------------------------------------------------------ what is right


def test_story_has_every_kind_and_every_field_of_an_entry() -> None:
    entries = [entry for org in ORGS for entry in journal(org)]
    assert {entry["kind"] for entry in entries} == set(KINDS)
    # The name of this field is no name in Python.
    assert {name for entry in entries for name in entry} == {*Entry.__annotations__, "from"} - {"pending", "imported"}


def test_nothing_is_found_in_what_the_rules_wrote() -> None:
    desk = story()
    entries = sum(len(journal(org)) for org in ORGS)
    for result in (verify_all(desk.store), check_lines(export_of(desk))):
        assert result.findings == []
        assert (result.orgs, result.entries, result.exit_code) == (3, entries, 0)
    assert verify_org(desk.store, "acme").entries == len(journal())


def test_an_org_without_a_journal_is_right() -> None:
    assert verify_org(MemoryStore(), "nobody").ok


def test_findings_are_named_in_the_document() -> None:
    lines = export_of(story())
    result = check_lines([lines[0].replace(b'"units":1000', b'"units":1001'), *lines[1:]])
    document = result.document()
    assert (document["schema"], document["ok"], result.exit_code) == ("meterctl.verify.v1", False, 8)
    assert document["findings"][0].keys() == {"org", "seq", "check", "message", "count"}
    assert json.loads(json.dumps(document["findings"])) == document["findings"]


def test_a_topup_undone_while_a_refund_of_it_stands_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(packs={"one": Pack(1, 300, "usd")})
    desk.credit("s", "one")
    desk.refund("s", 100, "re")
    monkeypatch.setattr(undo, "refundable", lambda *_: None)
    assert desk.undo(1).applied
    (found,) = verify_org(desk.store, "acme").findings
    assert (found.check, found.seq) == (Check.SESSION, 3)
    assert "100 cents of it are refunded" in found.message


# ------------------------------------------------------------------------------------------- one value, changed alone


def walk() -> Iterator[tuple[JournalCheck, list[Any]]]:
    """For every entry of the story: a check that was fed what is before it, and the journal from it on."""
    for org in ORGS:
        entries = journal(org)
        check = JournalCheck(org, {entry["seq"]: entry for entry in entries}.get)
        for place, entry in enumerate(entries):
            yield check, entries[place:]
            assert check.feed(entry) == []


def fork(check: JournalCheck) -> JournalCheck:
    """A copy that can be fed on its own. What both only read they share."""
    twin = copy.copy(check)
    twin._keys, twin._past = copy.deepcopy((check._keys, check._past))
    return twin


def test_every_value_that_is_changed_is_found() -> None:
    missed = []
    for check, (entry, *_) in walk():
        for path, value in leaves(entry):
            for other in (another(value), _look_alike(value), None if value is not None else 0):
                changed = clone(entry)
                put(changed, path, other)
                if not fork(check).feed(changed):
                    missed.append((entry["org"], entry["seq"], path, other))
    assert missed == []


def _look_alike(value: object) -> object:
    """Equal to ``value`` in Python, or nearly, but not the same in JSON."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int):
        return float(value)
    return str(value).upper() if str(value) != str(value).upper() else f"{value} "


def test_every_field_that_is_added_or_removed_is_found() -> None:
    for check, (entry, *_) in walk():
        for name in entry:
            short = {field: value for field, value in entry.items() if field != name}
            assert fork(check).feed(short), (entry["org"], entry["seq"], name)
        assert fork(check).feed({**entry, "note": "x"})


#: What a journal alone cannot prove once every later hash is made again: who, why, when, and what came from the config
#: or from outside. Everything else follows from the rest of the journal.
TOLD_ONLY = {
    "actor",
    "reason",
    "recorded_at",
    "at",
    "occurred_at",
    "allow_debt",
    "names",  # claims rest on them
    "approved_by",
    "low",  # the levels are the config's
    "capped_from",
    "llm",  # a cost
    "search",
    "quota",
    "version",
}


def test_even_with_all_hashes_made_again_one_value_cannot_be_changed() -> None:
    missed = set()
    for check, entries in walk():
        for path, value in leaves(entries[0]):
            if path[0] not in ("prev", "hash"):
                first = clone(entries[0])
                put(first, path, another(value))
                if not finds(fork(check), [first, *entries[1:]]):
                    missed.add(path[0] if path[0] in ("low", "names") else path[-1])
    assert missed == TOLD_ONLY


def finds(check: JournalCheck, entries: Iterable[Any]) -> bool:
    """Whether ``check`` finds anything in these entries once their hashes are made again."""
    prev = check.hash
    for entry in entries:
        forged = {**entry, "prev": prev}
        prev = forged["hash"] = entry_hash(forged)
        if check.feed(forged):
            return True
    return bool(check.finish())


# --------------------------------------------------------------------------------------- by number, with hashes right


@pytest.mark.parametrize(
    ("check", "key", "changes"),
    [
        # the form
        (Check.FORM, "debit:d:1", {("v",): 2}),
        (Check.FORM, "debit:d:1", {("kind",): "gift"}),
        (Check.FORM, "debit:d:1", {("kind",): ["debit"]}),
        (Check.FORM, "debit:d:1", {("units",): ...}),
        (Check.FORM, "debit:d:1", {("pack",): "small"}),
        (Check.FORM, "debit:d:1", {("seq",): True}),
        (Check.FORM, "debit:d:1", {("seq",): 0}),
        (Check.FORM, "debit:d:1", {("amount",): MAX_UNITS + 1}),
        (Check.FORM, "debit:d:1", {("amount",): -MAX_UNITS - 1}),
        (Check.FORM, "debit:d:1", {("units",): -1}),
        (Check.FORM, "debit:d:1", {("actor",): ""}),
        (Check.FORM, "debit:d:1", {("reason",): ""}),
        (Check.FORM, "debit:d:1", {("reason",): "\ud800"}),
        (Check.FORM, "debit:d:1", {("at",): "2026-11-16T24:00:00.000Z"}),
        (Check.FORM, "debit:d:1", {("at",): "2026-02-30T12:00:00.000Z"}),
        (Check.FORM, "debit:d:1", {("draws",): None}),
        (Check.FORM, "debit:d:1", {("draws",): [{"lot": 1}]}),
        (Check.FORM, "debit:d:1", {("draws", 0, "units"): 0}),
        (Check.FORM, "debit:d:1", {("debt",): [0, 0]}),
        (Check.FORM, "debit:d:1", {("state",): []}),
        (Check.FORM, "debit:d:1", {("input",): {"op": "undo", "seq": 1}}),
        (Check.FORM, "debit:d:1", {("input",): "debit"}),
        (Check.FORM, "debit:d:1", {("input", "op"): 7}),
        (Check.FORM, "run:capped:main", {("week",): "2026-W60"}),
        (Check.FORM, "run:capped:main", {("alerts",): []}),
        (Check.FORM, "run:capped:main", {("breakdown",): [1]}),
        # 1
        (Check.ORDER, "debit:d:1", {("org",): "other"}),
        (Check.ORDER, "debit:d:1", {("seq",): 9}),
        (Check.ORDER, "debit:d:1", {("at",): "2026-11-16T11:59:59.999Z"}),
        (Check.ORDER, "debit:d:1", {("occurred_at",): "2026-11-16T12:00:00.001Z"}),
        (Check.ORDER, "run:late:main", {("occurred_at",): NOON, ("at",): "2026-11-18T12:00:00.001Z"}),
        # 3 and 4
        (Check.SUM, "debit:d:1", {("balance",): 981}),
        (Check.BALANCE, "debit:d:1", {("balance",): 981}),
        (Check.BALANCE, "debit:d:1", {("state", "debt", "owed"): 1}),
        # 5
        (Check.STATE, "debit:d:1", {("state", "lots", 0, "remaining"): 979}),
        (Check.STATE, "debit:d:1", {("state", "lots", 0, "expires_at"): None}),
        (Check.STATE, "debit:d:1", {("state", "lots", 0, "remaining"): 980.0}),
        (Check.STATE, "debit:d:1", {("state", "plan"): "pro"}),
        (Check.STATE, "debit:d:1", {("state", "week"): 1}),
        (Check.STATE, "run:capped:main", {("state", "week", "cycle"): True}),
        # 6
        (Check.KEY, "debit:d:2", {("key",): "debit:d:1", ("input", "ref"): "d:1"}),
        (Check.KEY, "debit:d:1", {("key",): "debit:d:9"}),
        (Check.KEY, "debit:d:1", {("amount",): 120}),
        (Check.KEY, "debit:d:1", {("input", "units"): 121}),
        (Check.KEY, "adjust:gift", {("input", "expires_at"): None}),
        (Check.KEY, "adjust:gift", {("reason",): None}),
        (Check.KEY, "undo:debit:d:1", {("reason",): None}),
        (Check.KEY, "reset:by-hand", {("reason",): None}),
        (Check.KEY, "expire:2", {("actor",): "tester"}),
        (Check.KEY, "expire:2", {("reason",): "because"}),
        (Check.KEY, "session:cs_1", {("input", "paid_cents"): 499}),
        (Check.KEY, "run:run%3A1%25:main", {("key",): "run:run:1%:main"}),
        (Check.KEY, "week:2026-W48", {("input", "cycle"): 2, ("key",): "week:2026-W48#2"}),
        # 7
        (Check.LOTS, "session:cs_1", {("lot",): 2}),
        (Check.LOTS, "debit:d:1", {("draws",): [{"lot": 1, "units": 120}]}),
        (Check.LOTS, "debit:d:1", {("draws", 0, "lot"): 9}),
        (Check.LOTS, "debit:d:1", {("draws", 0, "units"): 101, ("draws", 1, "units"): 19}),
        (Check.LOTS, "undo:adjust:typo", {("voided", "units"): 19}),
        (Check.LOTS, "undo:adjust:typo", {("voided", "lot"): 7}),
        (Check.LOTS, "undo:adjust:typo", {("reverses",): 3}),
        (Check.LOTS, "undo:debit:d:1", {("reverses",): 11}),
        (Check.LOTS, "undo:debit:d:1", {("reverses",): 8}),
        (Check.LOTS, "undo:debit:d:1", {("restored", 0, "expires_at"): None}),
        (Check.LOTS, "undo:debit:d:1", {("restored", 0, "units"): 99}),
        (Check.LOTS, "undo:debit:d:1", {("reverses",): 5}),
        (Check.LOTS, "undo:debit:d:2", {("forfeited",): []}),
        (Check.LOTS, "undo:debit:d:2", {("forfeited", 0, "lot"): 1}),
        # 8
        (Check.DRAWS, "debit:d:1", {("units",): 121, ("input", "units"): 121}),
        (Check.DRAWS, "debit:d:1", {("draws", 1, "units"): 19}),
        (Check.DRAWS, "debit:d:3", {("input", "allow_debt"): False}),
        (Check.DRAWS, "debit:d:3", {("debt",): {"owed": 0, "overage": 30}}),
        (Check.DRAWS, "refund:re_2", {("debt",): {"owed": 0, "overage": 400}}),
        (Check.DRAWS, "session:cs_2", {("repaid", "owed"): 199}),
        (Check.DRAWS, "adjust:gift", {("amount",): 51, ("input", "units"): 51}),
        (Check.DRAWS, "adjust:fee", {("amount",): 10, ("input", "units"): 10}),
        (Check.DRAWS, "undo:debit:d:1", {("amount",): 119}),
        (Check.DRAWS, "expire:2", {("amount",): -39}),
        (Check.DRAWS, "run:beyond:main", {("debt",): {"owed": 40, "overage": 0}}),
        (Check.DRAWS, "run:beyond:main", {("uncovered",): 1, ("debt", "overage"): 39}),
        (Check.DRAWS, "run:beyond:main", {("draws",): ..., ("debt",): ...}),
        (Check.DRAWS, "run:run%3A1%25:main", {("draws",): [], ("debt",): NO_DEBT}),
        (Check.DRAWS, "run:run%3A1%25:main", {("amount",): -1}),
        # 9
        (Check.SESSION, "refund:re_1", {("cents",): 600, ("input", "cents"): 600}),
        (Check.SESSION, "refund:re_1", {("units",): 201, ("forgiven",): 1}),
        (Check.SESSION, "refund:re_1", {("cents",): 102, ("input", "cents"): 102}),
        (Check.SESSION, "refund:re_1", {("lot",): 2}),
        (Check.SESSION, "refund:re_1", {("lot",): 3}),
        (Check.SESSION, "refund:re_1", {("lot",): 39, ("session",): "cs_moved", ("input", "session"): "cs_moved"}),
        (Check.SESSION, "refund:re_day", {("forgiven",): 49}),
        (Check.SESSION, "refund:re_day", {("units",): 1, ("forgiven",): 49}),
        (Check.SESSION, "refund-reversal:re_1", {("cents",): 100}),
        (Check.SESSION, "refund-reversal:re_1", {("session",): "cs_2"}),
        (Check.SESSION, "refund-reversal:re_1", {("reverses",): 3}),
        (Check.SESSION, "undo:adjust:typo", {("session",): "cs_1"}),
        # 10
        (Check.EXPIRY, "expire:2", {("at",): "2026-11-17T12:00:00.001Z"}),
        (Check.EXPIRY, "expire:2", {("expires_at",): None}),
        (Check.EXPIRY, "expire:2", {("expires_at",): "2026-11-17T11:00:00.000Z"}),
        (Check.EXPIRY, "expire:2", {("units",): 39}),
        (Check.EXPIRY, "expire:2", {("lot",): 1}),
        (Check.EXPIRY, "debit:d:2", {("at",): "2026-11-17T12:00:00.000Z"}),
        # 11
        (Check.WEEK, "run:run%3A1%25:main", {("opened",): ...}),
        (Check.WEEK, "run:run%3A1%25:main", {("opened",): None}),
        (Check.WEEK, "run:run%3A1%25:main", {("opened", "used"): 1}),
        (Check.WEEK, "run:run%3A1%25:main", {("opened", "key"): "2026-W48", ("week",): "2026-W48"}),
        (Check.WEEK, "run:run%3A1%25:main", {("breakdown", "llm"): 49}),
        (Check.WEEK, "run:run%3A1%25:more", {("opened",): None}),
        (Check.WEEK, "run:run%3A1%25:more", {("cycle",): 2}),
        (Check.WEEK, "run:run%3A1%25:more", {("overflow",): 41}),
        (Check.WEEK, "run:run%3A1%25:more", {("input", "units"): 81}),
        (Check.WEEK, "run:run%3A1%25:more", {("capped_from",): 90}),
        (Check.WEEK, "run:capped:main", {("capped_from",): 40}),
        (Check.EXPIRY, "debit:d:2", {("at",): "2026-11-23T00:00:00.000Z"}),
        (Check.WEEK, "run:late:main", {("at",): "2026-11-23T00:00:00.000Z"}),
        (Check.WEEK, "week:2026-W47#2", {("closed", "used"): 281}),
        (Check.WEEK, "week:2026-W47#2", {("at",): "2026-11-23T00:00:00.001Z"}),
        (Check.WEEK, "week:2026-W47#2", {("settled",): 99}),
        (Check.WEEK, "week:2026-W47#2", {("opened",): None}),
        (Check.WEEK, "week:2026-W47#2", {("opened", "key"): "2026-W49"}),
        (Check.WEEK, "week:2026-W47#2", {("opened", "used"): 99}),
        (Check.WEEK, "reset:by-hand", {("opened", "cycle"): 3}),
        (Check.WEEK, "reset:by-hand", {("opened",): None}),
        (Check.WEEK, "reset:by-hand", {("settled",): 1}),
        # 12
        (Check.ALERTS, "run:run%3A1%25:more", {("alerts",): [100, 80]}),
        (Check.ALERTS, "run:run%3A1%25:more", {("alerts",): [80, 80]}),
        (Check.ALERTS, "run:run%3A1%25:more", {("alerts",): [60, 100]}),
        (Check.ALERTS, "run:run%3A1%25:more", {("alerts",): [80, 141]}),
        (Check.ALERTS, "run:capped:main", {("alerts",): [100]}),
        (Check.ALERTS, "plan:downgrade", {("alerts",): [80, 191]}),
        (Check.ALERTS, "week:2026-W47#2", {("alerts",): [80, 101]}),
    ],
)  # fmt: skip
def test_each_check_finds_what_it_is_for(check: Check, key: str, changes: dict[Path, object]) -> None:
    try:
        entries, seq = forge(key, changes)
    except UnicodeEncodeError:
        entries, seq = journal(), place_of(key) + 1
        for path, value in changes.items():
            put(entries[seq - 1], path, value)
    found = {finding.check for finding in check_entries(entries) if finding.seq in (seq, entries[seq - 1].get("seq"))}
    assert check in found


FRESH = {
    "key": "2026-W48",
    "cycle": 1,
    "plan": "p",
    "version": 1,
    "quota": 9,
    "used": 0,
    "uncovered": 0,
    "breakdown": {},
    "alerts": [],
}
TUESDAY, WEDNESDAY, SUNDAY_AFTER = "2026-11-17T12:00:00.000Z", "2026-11-18T12:00:00.000Z", "2026-11-29T12:00:00.000Z"


def test_what_the_scribe_writes_is_right_where_the_rules_would_write_it() -> None:
    scribe = Scribe().topup("s", expires=TUESDAY).refund(1, "s", 30, 30).expire(1, 70, TUESDAY)
    assert check_entries(scribe.topup("t").undo(4, 100, session="t").entries) == []
    assert check_entries(Scribe().usage(5).close_week(0, None).entries) == []


@pytest.mark.parametrize(
    ("scribe", "problem"),
    [
        (Scribe().topup("a", expires=TUESDAY).topup("b", expires=WEDNESDAY).expire(2, 100, WEDNESDAY), (3, 10)),
        (Scribe().topup("a", expires=TUESDAY).topup("b").expire(2, 100, TUESDAY), (3, 10)),
        (Scribe().topup("a").topup("a"), (2, 6)),
        (Scribe().topup("a", expires=SUNDAY_AFTER).usage(5).expire(1, 100, SUNDAY_AFTER), (3, 11)),
        (Scribe().topup("a", expires=TUESDAY).usage(5).close_week(0, None), (3, 10)),
        (Scribe().topup("a").undo(1, 100, session="a").refund(1, "a", 1, 0), (3, 9)),
        (Scribe().topup("a", cents=0).refund(1, "a", 1, 1), (2, 9)),
        (Scribe().topup("a").refund(1, "a", 60, 60).refund(1, "a", 50, 40), (3, 9)),
        (Scribe().topup("a").refund(2, "a", 1, 0), (2, 9)),
        (Scribe().topup("a").undo(1, 100), (2, 9)),
        (Scribe().usage(5).close_week(5, None), (2, 11)),
        (Scribe().usage(5).close_week(5, {**FRESH, "used": 5}), (2, 4)),
        (Scribe().usage(5).close_week(0, None, alerts=[80]), (2, 11)),
        (Scribe().usage(5, quota=0, overflow=5, draws=[], debt={"owed": 0, "overage": 5}, alerts=[80]), (1, 12)),
        (
            Scribe().write(
                "plan", "plan:x", 0, {"op": "assign-plan", "plan": "p", "ref": "x"},
                plan="p", version=1, quota=1, alerts=[80],
            ),
            (1, 12),
        ),
        (
            Scribe().write("reset", "reset:x", 0, {"op": "reset-week", "ref": "x"},
                closed=FRESH, opened=FRESH, settled=0),
            (1, 11),
        ),
    ],
)  # fmt: skip
def test_what_no_rule_books_is_found(scribe: Scribe, problem: tuple[int, int]) -> None:
    assert problem in where(check_entries(scribe.entries))


def test_a_draw_on_a_lot_that_nobody_opened_is_given_back_by_no_one() -> None:
    scribe = Scribe().topup("a")
    given = {"op": "debit", "units": 1, "ref": "x", "allow_debt": False}
    scribe.write("debit", "debit:x", -1, given, units=1, draws=[{"lot": 1, "units": 1}], debt=NO_DEBT)
    back: dict[str, Any] = {
        "repaid": NO_DEBT,
        "restored": [{"lot": 1, "units": 1, "expires_at": None, "paid": True}],
        "forfeited": [],
    }
    scribe.write("reversal", "undo:debit:x", 1, {"op": "undo", "of": "debit:x"}, reverses=2, **back)
    assert check_entries(scribe.entries) == []
    scribe.entries[1]["draws"][0]["lot"] = 9
    assert (3, Check.LOTS) in where(check_entries(scribe.entries))


def test_the_breakdown_of_a_week_that_is_still_open_is_added_up_too() -> None:
    entries = Scribe().usage(5).entries
    entries[0]["state"]["week"]["breakdown"]["default"] = 4
    found = check_entries(entries)
    assert (1, Check.WEEK) in where(found)


# --------------------------------------------------------------------------------------------- whole entries, and noise


def test_deleting_swapping_repeating_and_inserting_are_found() -> None:
    entries = journal()
    for place in range(len(entries) - 1):
        without = [*entries[:place], *entries[place + 1 :]]
        assert (entries[place]["seq"] + 1, Check.ORDER) in where(check_entries(without))
        swapped = [*entries[:place], entries[place + 1], entries[place], *entries[place + 2 :]]
        assert check_entries(swapped)
        assert check_entries([*entries[: place + 1], *entries[place:]])
        assert check_entries([*entries[:place], journal("beta")[0], *entries[place:]])


def test_one_bad_entry_is_found_once_and_the_rest_is_still_checked() -> None:
    entries = journal()
    entries[9] = {"seq": 10}
    entries[20]["balance"] += 1
    found = check_entries(entries)
    assert {finding.seq for finding in found} == {10, 21, 22}


def test_a_changed_entry_is_not_found_again_in_all_that_follow() -> None:
    for key in ("debit:d:1", "session:cs_1", "run:capped:main"):
        entries, seq = forge(key, {("recorded_at",): "2030-01-01T00:00:00.000Z"})
        entries[seq - 1]["amount"] += 1
        assert {finding.seq for finding in check_entries(entries)} <= {seq, seq + 1}


NOISE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from([NOON, "2026-W47"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.data())
def test_any_noise_in_any_place_is_a_finding_and_never_an_error(data: st.DataObject) -> None:
    entries = journal()
    place = data.draw(st.integers(0, len(entries) - 1))
    if data.draw(st.booleans()):
        path, value = data.draw(st.sampled_from(list(leaves(entries[place]))))
        keep = data.draw(st.integers(1, len(path)))
        noise = data.draw(NOISE)
        put(entries[place], path[:keep], noise)
        changed = json.dumps(noise) != json.dumps(value) or keep < len(path)
    else:
        entries[place] = data.draw(NOISE)
        changed = True
    unchanged = json.dumps(entries[place], sort_keys=True) == json.dumps(journal()[place], sort_keys=True)
    lines = [json.dumps(entry).encode() + b"\n" for entry in entries]
    assert check_lines(lines).ok is (unchanged or not changed)


@given(st.lists(st.binary(max_size=40) | st.sampled_from(export_of(story()))))
def test_any_bytes_are_findings_and_never_an_error(lines: list[bytes]) -> None:
    result = check_lines(line + b"\n" for line in lines)
    assert result.seconds >= 0


# ------------------------------------------------------------------------------------------------- what it costs


def test_memory_does_not_grow_with_a_journal_but_by_a_few_bytes_a_key() -> None:
    entry = journal()[-1]

    def feed(check: JournalCheck, numbers: Iterable[int]) -> None:
        for number in numbers:
            check.feed({**entry, "seq": number, "key": f"debit:{number}"})

    check = JournalCheck("acme", lambda _: None)
    feed(check, range(1000))
    tracemalloc.start()
    feed(check, range(1000, 6000))
    gc.collect()  # what Python keeps to use again is not ours
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown / 5000 < 40


def test_seen_remembers_every_text_once() -> None:
    seen = DigestSet()
    texts = [str(number) for number in range(5000)]
    assert all(seen.add(text) for text in texts)
    assert not any(seen.add(text) for text in texts)


# the text that a store keeps


def fed(text: bytes, entry: object) -> list[tuple[int, str]]:
    found = JournalCheck("acme", lambda _: None).feed(entry, text)
    return [(finding.check, finding.message.partition(":")[0]) for finding in found]


def test_a_stored_text_is_hashed_as_it_is() -> None:
    entry = journal()[0]
    assert fed(canonical_bytes(entry), entry) == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text + b" ",
        lambda text: text.replace(b'{"actor"', b'{"amount":7,"actor"'),  # a name twice: readers may take either
        lambda text: text.replace(b'"seq":1', b'"seq":1.0'),
        lambda text: json.dumps(json.loads(text)).encode(),
    ],
)
def test_a_stored_text_in_another_form_is_found(spoil: Callable[[bytes], bytes]) -> None:
    entry = journal()[0]
    assert fed(spoil(canonical_bytes(entry)), entry) == [(0, "its text is not in canonical form")]


def test_a_stored_text_with_another_content_is_found() -> None:
    entry = {**journal()[0], "actor": "somebody else"}
    assert fed(canonical_bytes(entry), entry)[0][0] == int(Check.CHAIN)


def test_other_places_with_the_name_state_are_not_taken_for_it() -> None:
    desk = Desk()
    desk.run("r", costs={"state": "0.01"})
    desk.do(Adjust("acme", 5, "a"), reason='"state":{')
    assert [entry.get("breakdown") for entry in desk.entries()] == [{"state": 10}, None]
    assert check_entries(desk.entries()) == []
