"""Documents of commands that book."""

from typing import Annotated, Any, Literal, NotRequired, TypedDict

from meterctl.core.documents.entries import EntryDocument
from meterctl.core.documents.fields import Balance, Org, Seconds, Seq, instant, means, number, text, units


class Difference(TypedDict):
    """A parameter in which a repetition differs from the first."""

    first: Any
    now: Any


class WarningRecord(TypedDict):
    """Something to see about an operation that was not refused for it."""

    code: Annotated[str, text("code of the warning")]
    message: Annotated[str, text("the warning, for people")]


Warnings = Annotated[list[WarningRecord], means("what an operator should see about it")]


class ReceiptRecord(TypedDict):
    command: Annotated[str, text("operation")]
    org: Org
    key: Annotated[str, text("the key it is booked under, once")]
    status: Literal["applied", "replayed", "refused", "conflict", "unchanged", "disabled", "planned", "failed"]
    applied: Annotated[bool, means("true only if this call booked it")]
    reason: Annotated[str | None, text("code of the rule that said no")]
    message: Annotated[str, text("what happened, for people")]
    hint: Annotated[str | None, text("what to do about a no, for people")]
    entry: Annotated[EntryDocument | None, means("what was booked, the first time; on a dry run what would be")]
    also: Annotated[list[EntryDocument], means("due events booked by the same call, before it")]
    balance: Balance
    diff: Annotated[dict[str, Difference] | None, means("on a conflict: what differs")]
    undone_by: Annotated[Seq | None, means("the entry that took it back")]
    warnings: Warnings


class ReceiptDocument(ReceiptRecord):
    """What became of one operation."""

    schema: Literal["meterctl.receipt.v1"]


class ReceiptsDocument(TypedDict):
    """What became of several operations that one command asked for."""

    schema: Literal["meterctl.receipts.v1"]
    command: Annotated[str, text("command")]
    receipts: list[ReceiptRecord]


class Failure(TypedDict):
    """An org that a sweep could not book for."""

    org: Org
    message: Annotated[str, text("why, for people")]


class SweepDocument(TypedDict):
    """What a sweep did. Every org that was found due is counted once more: as done, failed or skipped."""

    schema: Literal["meterctl.sweep.v1"]
    command: Literal["expire", "reset-week"]
    at: Annotated[str, instant("what is due by then was booked")]
    shard: Annotated[str | None, text("which part of all orgs, as number/count; null: one org, by name")]
    due: Annotated[int, number("orgs with something due")]
    done: Annotated[int, number("orgs that something was booked for")]
    failed: Annotated[int, number("orgs named in errors")]
    skipped: Annotated[int, number("orgs that another writer was faster with")]
    expired_lots: Annotated[int, number("lots expired")]
    expired_units: Annotated[int, units("what expired")]
    weeks_closed: Annotated[int, number("weeks closed")]
    settled_units: Annotated[int, units("overage settled from the quota of new weeks")]
    errors: list[Failure]
    locked_by: Annotated[str | None, text("who else was sweeping, so that this call stopped")]
    seconds: Seconds
    dry_run: Annotated[bool, means("true: nothing was booked")]
    status: Literal["done", "disabled"]


class BackfillDocument(TypedDict):
    """How many lines of an input file came to what."""

    schema: Literal["meterctl.backfill.v1"]
    lines: Annotated[int, number("lines answered")]
    applied: Annotated[int, number("lines booked")]
    replayed: Annotated[int, number("lines booked before")]
    refused: Annotated[int, number("lines that a rule refused")]
    conflict: Annotated[int, number("lines whose key was used for something else")]
    invalid: Annotated[int, number("lines that cannot mean anything")]
    failed: Annotated[int, number("lines whose org's journal cannot be read")]
    unchanged: Annotated[int, number("lines that change nothing")]
    disabled: Annotated[int, number("lines of usage while the meter is off")]
    planned: Annotated[int, number("lines that would be booked, on a dry run")]
    seconds: Seconds


class BackfillLine(TypedDict):
    """What became of a line: a line of the file that backfill --results writes."""

    line: Annotated[int, number("number of the line in the input", least=1)]
    status: Literal[
        "applied", "replayed", "refused", "conflict", "unchanged", "disabled", "planned", "failed", "invalid"
    ]
    reason: Annotated[str | None, text("code of the rule that said no, or of what is wrong with the line")]
    org: Org | None
    key: Annotated[str | None, text("the key it is booked under, once")]
    seq: Seq | None
    balance: Balance | None
    warnings: Warnings
    message: NotRequired[Annotated[str, text("why nothing was booked, for people")]]


class EventProblem(TypedDict):
    """An event that needs somebody, or another event."""

    line: Annotated[int | None, number("number of the line in the input", least=1)]
    event: Annotated[str | None, text("Stripe's id of the event")]
    object: Annotated[str | None, text("Stripe's id of the session, refund or dispute")]
    org: Org | None
    status: Literal["invalid", "pending", "refused", "conflict", "failed"]
    reason: Annotated[str | None, text("code of the rule that said no, or of what is wrong with the event")]
    message: Annotated[str, text("what is the matter, for people")]


class EventsDocument(TypedDict):
    """What became of webhook events, counted by the sessions, refunds and disputes they speak of."""

    schema: Literal["meterctl.events.v1"]
    events: Annotated[int, number("events read")]
    ignored: Annotated[int, number("events that concern nothing here")]
    invalid: Annotated[int, number("lines that hold no event, or one that was not signed by Stripe")]
    applied: Annotated[int, number("operations booked")]
    planned: Annotated[int, number("operations that would be booked, on a dry run")]
    replayed: Annotated[int, number("operations booked before")]
    unchanged: Annotated[int, number("nothing to book")]
    waiting: Annotated[int, number("undecided at Stripe")]
    pending: Annotated[int, number("waiting for another event")]
    refused: Annotated[int, number("operations that a rule refused")]
    conflict: Annotated[int, number("operations whose key was used for something else")]
    failed: Annotated[int, number("operations that failed")]
    problems: list[EventProblem]
    seconds: Seconds
