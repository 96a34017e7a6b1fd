"""Follow journals as they grow."""

from collections.abc import Iterator
from itertools import islice
from typing import Any, ClassVar

from meterctl.core.domain.checks import check_org
from meterctl.core.domain.instants import add_millis, parse
from meterctl.core.errors import BadInput
from meterctl.core.model import Entry, Instant
from meterctl.core.ports import Clock, EntryFilter, Journal, Recorded
from meterctl.core.results import LedgerPage

#: Seconds between two polls: soon enough for a person, and one index look-up for the store.
PAUSE = 1.0

#: Milliseconds that a feed lags behind the clock. A writer stamps an entry before the store has it. Its last try begins
#: at most 30 seconds later (`chunk_writer.PATIENCE`), and may take 30 more while an SQLite file is locked. So entries
#: recorded before then have arrived, unless clocks or replicas are more than the remaining 30 seconds apart.
MARGIN = 90_000

#: The most entries on a page of a feed.
MOST = 1000


class LedgerFeed(LedgerPage):
    """An endless stream of entries in order of seq: records only, no document."""

    __slots__ = ()
    live: ClassVar[bool] = True


def follow(journal: Journal, clock: Clock, org: str, after: int) -> Iterator[Entry]:
    """Yield the entries of ``org`` after seq ``after``, then each new one, until the caller stops."""
    while True:  # bounded: by the caller
        for entry in journal.read(org, EntryFilter(after=after)):
            after = entry["seq"]
            yield entry
        clock.sleep(PAUSE)


def place_of(cursor: str) -> Recorded:
    """Return the place in a feed of a ``cursor``: the end of a page, or an instant to start from."""
    recorded_at, _, rest = cursor.partition("/")
    org, _, seq = rest.rpartition("/")  # an org may hold slashes
    try:
        if org:
            check_org(org)
        return Recorded(parse(recorded_at), org, int(seq or "0"))
    except (BadInput, ValueError):
        raise BadInput(
            f"{cursor!r} is no cursor",
            hint="copy `next` from the last page unchanged, or give an instant",
            code="bad_cursor",
        ) from None


def cursor_of(place: Recorded) -> str:
    return f"{place.recorded_at}/{place.org}/{place.seq}"


def alerts_behind(journal: Journal, clock: Clock, after: Recorded) -> tuple[list[Entry], Recorded, Instant]:
    """Return a page of alerts after ``after``, the place of its end, and the instant up to which it is complete."""
    until = add_millis(clock.now(), -MARGIN)
    page = list(islice(journal.alerts_recorded(after, until), MOST))
    last = page[-1] if page else None
    return page, after if last is None else Recorded(last["recorded_at"], last["org"], last["seq"]), until


def alert_records(entry: Entry) -> Iterator[dict[str, Any]]:
    """Yield a record for each threshold that an entry crossed, and for each balance that it fell below."""
    week = entry["state"]["week"]
    about = {"at": entry["at"], "recorded_at": entry["recorded_at"], "seq": entry["seq"]}
    none = dict.fromkeys(("week", "cycle", "percent", "used", "quota"))
    for percent in entry.get("alerts", ()):
        counts = {name: week[name] for name in ("cycle", "used", "quota")}
        about_week = {"kind": "threshold", "week": week["key"], "percent": percent, "below": None, **counts}
        yield {"org": entry["org"], **about_week, "balance": entry["balance"], **about}
    for level in entry.get("low", ()):
        yield {"org": entry["org"], "kind": "balance", **none, "below": level, "balance": entry["balance"], **about}


def is_alert(entry: Entry) -> bool:
    """Return True if ``entry`` crossed a threshold or fell below a balance."""
    return "alerts" in entry or "low" in entry
