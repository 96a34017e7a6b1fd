"""List the lots of an org by state, with the history of the units of each."""

from collections.abc import Sequence
from typing import Any

from meterctl.core.model import Entry, Instant, Kind, State
from meterctl.core.ports import EntryFilter, Journal
from meterctl.core.reads.lot_history import CHANGING, FATES, Stories
from meterctl.core.results import Listing

#: The kinds that open lots, or change them in another way than by using them.
_KINDS: tuple[Kind, ...] = (*CHANGING, "reset", "extension")


def list_lots(
    journal: Journal, org: str, at: Instant, state: State, pending: Sequence[Entry], *, all_lots: bool, known: bool
) -> Listing:
    """Return the live lots of an org in draw order, then with ``all_lots`` the past ones, newest first.

    Reads every entry that changed lots beyond using them; ``pending`` are due entries that are not booked yet."""
    changes = [*journal.read(org, EntryFilter(kinds=_KINDS)), *pending]
    stories = Stories(changes, (), 0, lambda seq: journal.by_seq(org, seq))
    live = {lot.id: lot for lot in state.lots}
    opened = [entry["seq"] for entry in changes if entry.get("lot") == entry["seq"] and _opens(entry)]
    past = [seq for seq in reversed(opened) if seq not in live] if all_lots else []
    expiries = _expiries(changes)
    lots: list[dict[str, Any]] = []
    for number in [*live, *past]:
        story = stories.of(number, live[number].remaining if number in live else 0)
        if story is not None:
            lots.append(_record(story, number in live, expiries))
    return Listing("lots", "lots", lots, {"org": org, "known": known, "as_of": at})


def _opens(entry: Entry) -> bool:
    return entry["units"] > sum(entry.get("repaid", {}).values()) or entry["kind"] == "reversal"


def _expiries(changes: list[Entry]) -> dict[int, Instant | None]:
    """Return the expiry of each extended lot, by its newest extension."""
    return {entry["lot"]: entry["expires_at"] for entry in changes if entry["kind"] == "extension"}


def _record(story: dict[str, Any], live: bool, expiries: dict[int, Instant | None]) -> dict[str, Any]:
    number = story["id"]
    return {
        "id": number,
        "state": "live" if live else _end(story),
        "kind": story["kind"],
        "remaining": story["left"],
        "expires_at": expiries.get(number, story["expires_at"]),
        "extended": number in expiries,
        "priority": story["priority"],
        "paid": story["kind"] == "topup",
        "pack": story["pack"],
        "session": story["session"],
        "opened_at": story["opened_at"],
        "units": story["units"],
        **{fate: story[fate] for fate in FATES},
    }


def _end(story: dict[str, Any]) -> str:
    """Return the end of a lot: its last units were voided or expired, else spent."""
    return next((fate for fate in ("voided", "expired") if story[fate] > 0), "spent")
