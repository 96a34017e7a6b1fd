"""Lessons about names: ids that other systems make are taken as they are, and no two are mixed up."""

from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from meterctl.core.domain.operations import Attribute, Debit
from meterctl.core.stores.mongo.journal import _id
from tests.desk import Desk

ORGS = ["auth0|507f1f77", "ops@example.com", "acme/prod", "acme", "urn:org:9", "_internal", "acme#1~b+c=d"]
FEATURES = ["gpt-4.1", "openai/gpt-4o", "anthropic:claude@2026", "a+b", "gpt-4", "gpt-4.1.1"]


def test_l92_ids_and_features_of_other_systems_are_booked_as_they_are(desk: Desk) -> None:
    for org in ORGS:
        desk.adjust(100, "start", org=org)
        desk.run("a", costs=dict.fromkeys(FEATURES, "0.01"), org=org, step="b:c")
    for org in ORGS:
        first, usage = desk.entries(org)
        assert (first["org"], usage["breakdown"]) == (org, dict.fromkeys(FEATURES, 10))
        assert desk.tip(org)["state"]["week"]["breakdown"] == dict.fromkeys(FEATURES, 10)
        assert set(desk.store.heads.get([org])) == {org}
    assert sorted(ORGS) == list(desk.store.journal.orgs())


def test_l92_pairs_of_org_and_key_that_look_alike_are_told_apart(desk: Desk) -> None:
    """As ``a/b`` with key ``c`` and ``a`` with key ``b/c`` would be in a store that joins them by a slash."""
    words = ["a", "a/debit:b", "a:debit:b", "a/b", "debit:b"]
    for org, ref in permutations(words, 2):
        assert desk.debit(1, ref, org=org, allow_debt=True).status == "applied", (org, ref)
    for org, ref in permutations(words, 2):
        again = desk.debit(1, ref, org=org, allow_debt=True)
        assert (again.status, again.entry and again.entry["org"]) == ("replayed", org)


orgs = st.from_regex(r"[ab_][ab_.@|:/+=~#-]{0,4}", fullmatch=True)
refs = st.text(st.sampled_from("ab/:%+|#="), min_size=1, max_size=5)
operations = st.one_of(
    st.builds(lambda org, ref: Debit(org, 1, ref), orgs, refs),
    st.builds(
        lambda org, run, step: Attribute(org, run, step, units=1),
        orgs,
        refs,
        st.from_regex(r"[ab:_-]{1,3}", fullmatch=True),
    ),
)


@given(operations, operations)
def test_l92_no_two_pairs_are_stored_under_one_name(one: Debit | Attribute, other: Debit | Attribute) -> None:
    same = (one.org, one.key) == (other.org, other.key)
    assert (_id(one.org, one.key) == _id(other.org, other.key)) == same
    if isinstance(one, Attribute) and isinstance(other, Attribute):
        assert (one.key == other.key) == ((one.run, one.step) == (other.run, other.step))
