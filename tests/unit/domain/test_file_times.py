"""Times in files: with a zone, by the file's zone, since 1970; never by a guess."""

from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterctl.core.domain.file_times import file_instant, resolve_times
from meterctl.core.errors import BadInput

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("value", "instant"),
    [
        ("2026-11-22T10:03:00Z", "2026-11-22T10:03:00.000Z"),
        ("2026-11-22 10:03z", "2026-11-22T10:03:00.000Z"),
        ("2026-11-22T10:03:00+02:00", "2026-11-22T08:03:00.000Z"),
        (1795168800, "2026-11-20T10:00:00.000Z"),
        ("1795168800", "2026-11-20T10:00:00.000Z"),
        (1795168800123, "2026-11-20T10:00:00.123Z"),
        (Decimal("1795168800.1239"), "2026-11-20T10:00:00.123Z"),
        ("1795168800.5", "2026-11-20T10:00:00.500Z"),
    ],
)
def test_times_that_name_an_instant(value: object, instant: str) -> None:
    assert file_instant(value) == file_instant(value, BERLIN) == file_instant(value, ends=True) == instant


@pytest.mark.parametrize("text", ["2026-11-22T10:03:00", "2026-11-22 10:03", "2026-11-22"])
def test_a_time_without_a_zone_is_refused(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        file_instant(text)
    assert caught.value.code == "naive_time"
    assert "--timezone" in caught.value.hint


@pytest.mark.parametrize(
    "value",
    [5, 20261122, 202611221003, 20261122100300, 1795168800123456, -1795168800, True, 1.5, [], "46348.4", "soon"],
)
def test_what_is_no_time_is_refused(value: object) -> None:
    with pytest.raises(BadInput):
        file_instant(value)


@pytest.mark.parametrize("text", ["1.79517E+09", "22/11/2026 10:03", "2026-02-30T00:00:00Z", "2026-11-22T24:00Z"])
def test_times_that_no_calendar_has_are_refused(text: str) -> None:
    for zone in (None, BERLIN):
        with pytest.raises(BadInput):
            file_instant(text, zone)


def test_a_local_time_is_that_of_the_file_s_zone() -> None:
    # A Sunday evening in New York is a Monday in UTC: another week.
    assert file_instant("2026-11-22 21:00", ZoneInfo("America/New_York")) == "2026-11-23T02:00:00.000Z"
    assert file_instant("2026-07-01T00:30:00", BERLIN) == "2026-06-30T22:30:00.000Z"
    assert file_instant("2026-11-22", BERLIN) == "2026-11-21T23:00:00.000Z"


def test_a_date_that_ends_a_period_means_the_end_of_that_day() -> None:
    assert file_instant("2026-12-31", ends=True) == "2027-01-01T00:00:00.000Z"
    assert file_instant("2026-12-31", BERLIN, ends=True) == "2026-12-31T23:00:00.000Z"
    assert file_instant("2026-03-28", BERLIN, ends=True) == "2026-03-28T23:00:00.000Z"


@pytest.mark.parametrize(
    ("text", "zone", "code"),
    [
        ("2026-03-29T02:30", "Europe/Berlin", "no_such_time"),
        ("2026-03-08T02:00", "America/New_York", "no_such_time"),
        ("2026-10-25T02:30", "Europe/Berlin", "ambiguous_time"),
        ("2026-10-04T02:15", "Australia/Lord_Howe", "no_such_time"),
        ("2026-04-05T01:45", "Australia/Lord_Howe", "ambiguous_time"),
    ],
)
def test_times_that_clocks_skipped_or_showed_twice_are_refused(text: str, zone: str, code: str) -> None:
    with pytest.raises(BadInput) as caught:
        file_instant(text, ZoneInfo(zone))
    assert caught.value.code == code
    assert zone in caught.value.message


def test_a_day_that_began_without_a_midnight_begins_when_it_did() -> None:
    # Clocks in Cairo went from 24:00 to 01:00 on 2026-04-24.
    assert file_instant("2026-04-24", ZoneInfo("Africa/Cairo")) == "2026-04-23T22:00:00.000Z"
    assert file_instant("2026-04-23", ZoneInfo("Africa/Cairo"), ends=True) == "2026-04-23T22:00:00.000Z"


moments = st.datetimes(datetime.fromisoformat("1970-01-01"), datetime.fromisoformat("2099-01-01"))
zones = st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC"])


@given(moments, zones)
def test_a_local_time_comes_back_as_it_was_written(moment: datetime, zone: str) -> None:
    moment = moment.replace(microsecond=0)
    offsets = {moment.replace(tzinfo=ZoneInfo(zone), fold=fold).utcoffset() for fold in (0, 1)}
    if len(offsets) > 1:
        with pytest.raises(BadInput):
            file_instant(moment.isoformat(sep=" "), ZoneInfo(zone))
        return
    instant = file_instant(moment.isoformat(sep=" "), ZoneInfo(zone))
    back = datetime.fromisoformat(instant).astimezone(ZoneInfo(zone))
    assert back.replace(tzinfo=None) == moment
    assert back.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z") == instant


def test_every_time_of_a_document_is_resolved() -> None:
    document = {"op": "adjust", "at": "2026-11-22 10:00", "expires_at": "2026-12-31", "from": "2026-12-01", "ref": "r"}
    resolve_times(document, BERLIN)
    assert document == {
        "op": "adjust",
        "at": "2026-11-22T09:00:00.000Z",
        "expires_at": "2026-12-31T23:00:00.000Z",
        "from": "2026-11-30T23:00:00.000Z",
        "ref": "r",
    }
    forever = {"op": "extend-lot", "expires_at": "never", "at": None}
    resolve_times(forever, None)
    assert forever == {"op": "extend-lot", "expires_at": "never", "at": None}
