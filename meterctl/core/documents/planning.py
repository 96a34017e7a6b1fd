"""Saved plans, and the outcome of one."""

from typing import Annotated, Any, Literal, NotRequired, TypedDict

from meterctl.core.documents.fields import (
    HASH,
    Actor,
    Balance,
    Org,
    Reason,
    RefusalCode,
    Seq,
    instant,
    means,
    number,
    signed,
    text,
    units,
)
from meterctl.core.model import Instant, Kind

Digest = Annotated[str, text("SHA-256 of an entry without recorded_at, prev and hash", HASH)]


class Plan(TypedDict):
    """The header of a saved plan."""

    made_at: Annotated[Instant, instant("the instant it was rehearsed")]
    actor: Annotated[str, text("the actor who made it")]
    store: Annotated[str, text("the store it was made on, without any secret")]
    operations: Annotated[int, number("operations in it, one a line")]
    orgs: Annotated[int, number("orgs it books for")]
    entries: Annotated[int, number("entries it books, due events included")]
    amount: Annotated[int, signed("sum of the units it books")]
    left_out: Annotated[dict[str, int], means("operations that would book nothing, counted by status")]
    sha256: Annotated[str, text("SHA-256 of all lines after the header, then of all else in the header", HASH)]


class SavedPlanDocument(Plan):
    """A saved plan: the first line of the file."""

    schema: Literal["meterctl.saved-plan.v1"]


class TipDocument(TypedDict):
    """The newest entry of an org when the plan was made."""

    seq: Annotated[int, number("number of its newest entry; 0: none")]
    hash: Annotated[str, text("hash of that entry", HASH)]


class PlaceDocument(TypedDict):
    """The plan's own entry below an operation."""

    seq: Seq
    digest: Digest


class PlannedEntry(TypedDict):
    """An entry that an operation books."""

    seq: Seq
    key: Annotated[str, text("the key it is booked under, once")]
    kind: Kind
    amount: Annotated[int, signed("change of the balance")]
    balance: Balance
    debt: NotRequired[Annotated[int, units("debt it makes", least=1)]]
    digest: Digest


class SavedPlanLine(TypedDict):
    """An operation of a saved plan: a line of the file after the first."""

    request: Annotated[dict[str, Any], means("the operation, as a line of a backfill's input")]
    basis: TipDocument
    below: Annotated[PlaceDocument | None, means("null: the first operation of its org in the plan")]
    entries: Annotated[list[PlannedEntry], means("the entries it books, due events first")]


class Stranger(TypedDict):
    """An entry that was booked after the plan was made."""

    seq: Seq
    kind: Kind
    key: Annotated[str, text("the key it is booked under, once")]
    amount: Annotated[int, signed("change of the balance")]
    balance: Balance
    at: Annotated[Instant, instant("the instant it takes effect")]
    recorded_at: Annotated[Instant, instant("the instant it was booked")]
    actor: Actor
    reason: Reason


class MovedOrg(TypedDict):
    """An org with new entries since the plan was made."""

    org: Org
    since: Annotated[int, number("number of the newest entry that the plan saw")]
    seq: Annotated[int, number("number of the newest entry now")]
    entries: Annotated[list[Stranger], means("entries booked since, oldest first; none: the config changed")]


class PlanProblem(TypedDict):
    """An operation that was not carried out."""

    line: Annotated[int, number("number of the line in the plan", least=2)]
    org: Org
    key: Annotated[str, text("the key it is booked under, once")]
    status: Literal["moved", "refused", "conflict", "failed"]
    reason: Annotated[RefusalCode | None, means("code of the rule that refused it")]
    message: Annotated[str, text("the reason, for people")]
