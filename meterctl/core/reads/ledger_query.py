"""The filters of a ledger."""

from typing import NamedTuple

from meterctl.core.model import Entry, Instant, Kind


class LedgerQuery(NamedTuple):
    """A page of a journal: ``since`` <= at < ``until``, below seq ``before``, at most ``limit`` entries (None: all).

    ``actor`` booked them, their reason contains ``reason_has`` (case ignored), and they moved at least ``least`` units
    in or out."""

    kinds: tuple[Kind, ...] = ()
    all_kinds: bool = False
    since: Instant | None = None
    until: Instant | None = None
    limit: int | None = 20
    before: int | None = None
    session: str | None = None
    ref: str | None = None
    run: str | None = None
    actor: str | None = None
    reason_has: str | None = None
    least: int = 0

    def matches(self, entry: Entry) -> bool:
        """Return True if ``entry`` matches the query.

        Stores filter most entries already, but not due entries and those that a ref finds."""
        return self._has_kind(entry) and self._has_place(entry) and self._has_words(entry)

    def _has_kind(self, entry: Entry) -> bool:
        if self.kinds:
            return entry["kind"] in self.kinds
        return self.all_kinds or bool(self.ref or self.run) or entry["amount"] != 0

    def _has_place(self, entry: Entry) -> bool:
        return (
            (self.since is None or entry["at"] >= self.since)
            and (self.until is None or entry["at"] < self.until)
            and (self.before is None or entry["seq"] < self.before)
            and (self.session is None or entry.get("session") == self.session)
        )

    def _has_words(self, entry: Entry) -> bool:
        reason = entry["reason"] or ""
        return (
            (self.actor is None or self.actor in (entry["actor"], entry.get("approved_by")))
            and (self.reason_has is None or self.reason_has.casefold() in reason.casefold())
            and abs(entry["amount"]) >= self.least
        )
