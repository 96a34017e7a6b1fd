"""Journals as they grow."""

from collections.abc import Iterator
from itertools import islice
from typing import ClassVar

from meterctl.core.domain.checks import check_org
from meterctl.core.domain.instants import add_millis, parse
from meterctl.core.errors import BadInput
from meterctl.core.model import Entry, Instant
from meterctl.core.ports import Clock, EntryFilter, Journal, Recorded
from meterctl.core.results import LedgerPage

#: Seconds between two looks: soon enough for a person, and one index lookup for the store.
PAUSE = 1.0

#: Milliseconds that a feed stays behind the time. A writer stamps an entry before the store has it. Its last try begins
#: at most 30 seconds later (`chunk_writer.PATIENCE`), and may take 30 more while an SQLite file is locked. So entries
#: recorded before then have arrived, unless clocks or replicas are more than the remaining 30 seconds apart.
MARGIN = 90_000

#: The most entries on a page of a feed.
MOST = 1000


class LedgerFeed(LedgerPage):
    """Entries in order of seq, each as it comes, without end: records only, no document."""

    __slots__ = ()
    live: ClassVar[bool] = True


def follow(journal: Journal, clock: Clock, org: str, after: int) -> Iterator[Entry]:
    """The entries of ``org`` behind seq ``after``, and then each that is booked, until the caller stops."""
    while True:  # bounded: by the caller
        for entry in journal.read(org, EntryFilter(after=after)):
            after = entry["seq"]
            yield entry
        clock.sleep(PAUSE)


def place_of(cursor: str) -> Recorded:
    """The place in a feed that ``cursor`` names: where a page ended, or an instant to start from."""
    recorded_at, _, rest = cursor.partition("/")
    org, _, seq = rest.rpartition("/")  # an org may hold slashes
    try:
        if org:
            check_org(org)
        return Recorded(parse(recorded_at), org, int(seq or "0"))
    except (BadInput, ValueError):
        raise BadInput(
            f"{cursor!r} is no cursor",
            hint="give the `next` of the last page as it was, or a time",
            code="bad_cursor",
        ) from None


def cursor_of(place: Recorded) -> str:
    return f"{place.recorded_at}/{place.org}/{place.seq}"


def alerts_behind(journal: Journal, clock: Clock, after: Recorded) -> tuple[list[Entry], Recorded, Instant]:
    """A page of the feed of alerts behind ``after``, the place where it ends, and until when it tells all there is."""
    until = add_millis(clock.now(), -MARGIN)
    found = list(islice(journal.alerts_recorded(after, until), MOST))
    last = found[-1] if found else None
    return found, after if last is None else Recorded(last["recorded_at"], last["org"], last["seq"]), until
