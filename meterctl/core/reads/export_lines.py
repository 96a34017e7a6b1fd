"""Stream journals as the lines of an export."""

from collections.abc import Iterator
from itertools import chain

from meterctl.core.domain.canonical import canonical_bytes, has_its_hash, parse_json
from meterctl.core.errors import Damaged, undamaged
from meterctl.core.model import Instant
from meterctl.core.ports import EntryText, Store
from meterctl.core.verify.export_check import PLAN_LINE


def entry_texts(store: Store, org: str | None = None, since: Instant | None = None) -> Iterator[bytes]:
    """Stream the canonical form of each entry of ``org``, or of all orgs.

    ``since`` starts each journal at its first entry recorded from then on; every entry is read either way. Raises
    `Damaged` after the last entry if one is missing or altered, by a damaged index or page."""
    texts = _check_order(store.journal.texts(org))
    if since is not None:
        texts = _recorded_since(texts, since)
    return (entry.text + b"\n" for entry in texts)


def _check_order(texts: Iterator[EntryText]) -> Iterator[EntryText]:
    """Yield every text, and raise the first damage only at the end: the intact rest may be the only copy."""
    org, seq = "", 0
    damage: Damaged | None = None
    for entry in texts:
        next_seq = seq + 1 if entry.org == org else 1
        if damage is None and entry.seq != next_seq:
            message = f"the export is incomplete: entry {next_seq} of {entry.org} is missing, before entry {entry.seq}"
            damage = Damaged(message, org=entry.org, seq=next_seq)
        elif damage is None and not has_its_hash(entry.text):
            message = f"entry {entry.seq} of {entry.org} is damaged: its hash does not match its content"
            damage = Damaged(message, org=entry.org, seq=entry.seq)
        org, seq = entry.org, entry.seq
        yield entry
    if damage is not None:
        raise damage


def _recorded_since(texts: Iterator[EntryText], since: Instant) -> Iterator[EntryText]:
    org, new = "", False
    for entry in texts:
        if entry.org != org:
            org, new = entry.org, False
        # Writers' clocks differ a little, so `recorded_at` may go back within a journal. Every entry after the first
        # new one is new.
        new = new or parse_json(entry.text)["recorded_at"] >= since
        if new:
            yield entry


def plan_texts(store: Store) -> Iterator[bytes]:
    """Stream the published plan versions, a line each."""
    for version in undamaged(store.plans.all()):
        record = {"schema": PLAN_LINE, **version._asdict(), "ratios": dict(version.ratios)}
        yield canonical_bytes(record) + b"\n"


def whole_store(store: Store) -> Iterator[bytes]:
    """Stream plans and entries: everything another store needs to continue."""
    return chain(plan_texts(store), entry_texts(store))
