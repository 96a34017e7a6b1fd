"""The orgs that one call keeps from chunk to chunk."""

from collections.abc import Sequence

import pytest

from meterctl.core.booking import journal_view
from meterctl.core.booking.journal_view import OrgViews
from meterctl.core.domain.entries import tip_of
from meterctl.core.domain.operations import Adjust
from tests.desk import Desk, request


def with_lots(**lots: int) -> Desk:
    """Return a desk with these orgs, each with that many lots."""
    desk = Desk()
    for org, count in lots.items():
        for number in range(count):
            desk.adjust(1, f"grant-{number}", org=org)
    return desk


def load(views: OrgViews, *orgs: str) -> None:
    views.load([request(Adjust(org, 1, "next")) for org in orgs])


def kept(views: OrgViews, orgs: Sequence[str]) -> list[str]:
    return [org for org in orgs if views.of(org).lots]


@pytest.mark.parametrize(("most", "expected"), [(5, ["a", "b", "c", "d"]), (4, ["b", "c", "d"]), (2, ["c", "d"])])
def test_a_call_forgets_its_oldest_orgs_beyond_the_bound_on_lots(
    monkeypatch: pytest.MonkeyPatch, most: int, expected: list[str]
) -> None:
    monkeypatch.setattr(journal_view, "MOST_KEPT_LOTS", most)
    views = OrgViews(with_lots(a=2, b=3, c=1, d=1).store)
    load(views, "a", "b")
    load(views, "c", "d")
    assert kept(views, "abcd") == expected


def test_lots_that_a_call_books_count_and_those_of_a_forgotten_org_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_view, "MOST_KEPT_LOTS", 3)
    desk = with_lots(a=2, b=1, c=1, d=1)
    views = OrgViews(desk.store)
    load(views, "a")
    for number in range(2):
        entry = desk.adjust(1, f"more-{number}", org="a").entry
        assert entry is not None
        views.of("a").add(entry, tip_of(entry))
    load(views, "b")
    assert kept(views, "ab") == ["b"]
    load(views, "c")
    load(views, "d")
    assert kept(views, "abcd") == ["b", "c", "d"]
    views.forget()
    load(views, "a")
    assert kept(views, "abcd") == ["a"]
