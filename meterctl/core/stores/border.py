"""Check documents as they are read from a store. Every adapter passes its documents through here.

A document is checked once. A foreign or changed one becomes `Damaged`: raised if the caller asked for one document,
returned in its place in a listing, so that the others stay usable. Code behind this border does not check for malformed
documents again: a failure there is a defect of this program.
"""

import reprlib
from collections.abc import Callable, Mapping
from typing import Any, cast

from meterctl.core.domain.canonical import (
    NOT_CANONICAL,
    canonical_bytes,
    chain_hash,
    entry_hash,
    parse_json,
    without_hash,
)
from meterctl.core.domain.checks import check_ratio
from meterctl.core.domain.due_events import next_due_in
from meterctl.core.domain.entry_shape import is_usual, malformed
from meterctl.core.domain.value_shape import (
    is_instant,
    is_natural,
    is_number,
    is_positive,
    is_state,
    is_text,
    is_whole,
)
from meterctl.core.errors import BadInput, Damaged
from meterctl.core.model import Claim, Entry, PlanVersion
from meterctl.core.ports import DueOrg, Head, Lease

_Test = Callable[[Any], bool]

_FOREIGN = "look at it, and remove it if no other program needs it; meterctl leaves it alone"


def _or_none(test: _Test) -> _Test:
    return lambda value: value is None or test(value)


def _are_ratios(value: Any) -> bool:
    try:
        return isinstance(value, dict) and all(check_ratio(name, ratio) for name, ratio in value.items())
    except BadInput:
        return False


_HEAD: dict[str, _Test] = {
    "org": is_text,
    "seq": is_positive,
    "key": is_text,
    "hash": is_text,
    "state": is_state,
    "balance": is_whole,
    "at": is_instant,
    "next_expiry": _or_none(is_instant),
    "next_due": _or_none(is_instant),
}

_PLAN: dict[str, _Test] = {
    "plan": is_text,
    "version": is_positive,
    "weekly_quota": is_natural,
    "ratios": _are_ratios,
    "effective_from": is_instant,
    "published_at": is_instant,
    "actor": is_text,
    "reason": _or_none(is_text),
    "rollover_max": is_natural,
    "rollover_weeks": is_positive,
}

_LEASE: dict[str, _Test] = {"name": is_text, "holder": is_text, "acquired_at": is_instant, "expires_at": is_instant}


def entry_of(document: object, org: str | None = None, *, seq: int | None = None, key: str | None = None) -> Entry:
    """Return ``document``, or the one in a JSON text, as the requested entry.

    Raises `Damaged` if it is another one, or its hash is wrong.
    """
    if isinstance(document, str):
        text, document = document.encode(), parsed(document)
        has_shape = is_usual(document, text)
    else:
        text = _text_of(document)
        # NaN is written as null: the text proves nothing then.
        has_shape = is_usual(document, text) and parse_json(text) == document
    problem = None if has_shape else malformed(document)
    if problem is None:
        problem = _unsound(cast(Entry, document), text, has_state=has_shape)
    if problem is None:
        entry = cast(Entry, document)
        if org in (None, entry["org"]) and seq in (None, entry["seq"]) and key in (None, entry["key"]):
            return entry
        problem = f"it is entry {entry['seq']} of {entry['org']}, under the key {entry['key']}"
    raise _damaged_entry(document, problem, org, seq)


def _text_of(document: object) -> bytes:
    try:
        return canonical_bytes(cast(Entry, document))
    except NOT_CANONICAL:
        return b""


def _unsound(entry: Entry, text: bytes, *, has_state: bool) -> str | None:
    if not (has_state or is_state(entry["state"])):
        return "its state is malformed"
    # A text that is canonical already, as all are that this program stores, need not be written again for the hash.
    if not text or chain_hash(entry["prev"], without_hash(text, entry["hash"])) != entry["hash"]:
        try:
            digest = entry_hash(entry)
        except NOT_CANONICAL as problem:
            return f"it has no canonical form: {problem}"
        if digest != entry["hash"]:
            return "its hash does not match its content"
    return None if balance_of(entry["state"]) == entry["balance"] else "its lots and debt do not add up to its balance"


def stray_of(document: Mapping[str, Any]) -> Damaged:
    """Return the damage of a document in the journal that belongs to no org."""
    org, seq = document.get("org"), document.get("seq")
    place = f"its org is {reprlib.repr(org)}, its seq {reprlib.repr(seq)}"
    known = org if is_text(org) else None
    return Damaged(f"document {reprlib.repr(document.get('_id'))} is in no journal: {place}", hint=_FOREIGN, org=known)


def _damaged_entry(document: object, problem: str, org: str | None, seq: int | None) -> Damaged:
    fields = document if isinstance(document, dict) else {}
    org = org if org is not None or not isinstance(fields.get("org"), str) else fields["org"]
    seq = seq if seq is not None or not is_number(type(fields.get("seq"))) else fields["seq"]
    name = "an entry" if seq is None else f"entry {seq}"
    return Damaged(f"{name}{'' if org is None else f' of {org}'} is damaged: {problem}", org=org, seq=seq)


def parsed(text: bytes | str) -> object:
    """Return the value of a stored JSON text; the text itself if it is not JSON, which every later check refuses."""
    try:
        return parse_json(text)
    except (ValueError, TypeError):
        return text


def balance_of(state: Mapping[str, Any]) -> int:
    """Return the balance of a state document: its lots less its debt."""
    debt = state["debt"]
    total: int = sum([lot["remaining"] for lot in state["lots"]]) - debt["owed"] - debt["overage"]
    return total


def head_of(fields: Mapping[str, Any]) -> Head | Damaged:
    """Return the head with these fields."""
    wrong = _wrong_field(_HEAD, fields)
    if wrong is None and balance_of(fields["state"]) != fields["balance"]:
        wrong = "balance"
    # Sweeps use `next_due`: a wrong one makes them skip the org.
    if wrong is None and next_due_in(fields["state"]) != fields.get("next_due"):
        wrong = "next_due"
    if wrong is None:
        return Head(*(fields.get(name) for name in Head._fields))  # type: ignore[arg-type]
    org = fields.get("org")
    hint = "a head is only a cache: rebuild it with meterctl verify --all --repair-heads"
    message = f"the head of {org!r} is damaged: its {wrong} cannot be {reprlib.repr(fields.get(wrong))}"
    return Damaged(message, hint=hint, org=org if is_text(org) else None)


def due_page(read: Callable[[DueOrg | None, int], list[DueOrg]], after: DueOrg | None, limit: int) -> list[DueOrg]:
    """Return the first ``limit`` due orgs that ``read`` gives behind ``after``, without those of foreign heads.

    Their heads are findings of `read`; a sweep passes over them.
    """
    sound: list[DueOrg] = []
    while len(sound) < limit:  # bounded: by the foreign heads
        page = read(after, limit)
        sound += [due for due in page if is_text(due.org) and is_instant(due.since)]
        if len(page) < limit:
            break
        after = page[-1]
    return sound[:limit]


def claim_of(name: object, org: object, session: object) -> Claim | Damaged:
    """Return the claim of ``org`` on ``name``, for the payment booked under ``session``, empty if none is awaited."""
    if is_text(name) and is_text(org) and (session == "" or is_text(session)):
        return Claim(str(name), str(org), str(session))
    return Damaged(f"the claim {reprlib.repr(name)} is damaged: it names no org and session", hint=_FOREIGN)


def plan_of(fields: Mapping[str, Any]) -> PlanVersion | Damaged:
    """Return the plan version with these fields. A damaged one names its plan, so that other plans stay usable."""
    wrong = _wrong_field(_PLAN, fields) or next((name for name in fields if name not in PlanVersion._fields), None)
    if wrong is None:
        return PlanVersion(**fields)
    name = f"version {fields.get('version')!r} of plan {fields.get('plan')!r}"
    return damaged_plan(name, f"its {wrong} cannot be {reprlib.repr(fields.get(wrong))}", fields.get("plan"))


def damaged_plan(name: str, problem: str, plan: object) -> Damaged:
    """Return the damage of the plan version ``name``; it disables ``plan``, if not None."""
    hint = f"{_FOREIGN}; if it is meterctl's own: restore a backup"
    return Damaged(f"{name} is damaged: {problem}", hint=hint, plan=plan if isinstance(plan, str) else None)


def lease_of(fields: Mapping[str, Any]) -> Lease | Damaged:
    """Return the lease with these fields."""
    if _wrong_field(_LEASE, fields) is None:
        return Lease(*(fields[name] for name in Lease._fields))
    return Damaged(f"the lock {reprlib.repr(fields.get('name'))} is damaged: it is no lease", hint=_FOREIGN)


def _wrong_field(tests: Mapping[str, _Test], fields: Mapping[str, Any]) -> str | None:
    return next((name for name, test in tests.items() if not test(fields.get(name))), None)
