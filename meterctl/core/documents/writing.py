"""Documents of commands that book."""

from typing import Annotated, Any, Literal, NotRequired, TypedDict

from meterctl.core.documents.fields import Balance, Org, Seconds, Seq, Warnings, number, text


class Difference(TypedDict):
    """A parameter in which a repetition differs from the first."""

    first: Any
    now: Any


class Failure(TypedDict):
    """An org that a sweep could not book for."""

    org: Org
    message: Annotated[str, text("the reason, for people")]


class BackfillLine(TypedDict):
    """The outcome of a line: a line of the file that backfill --results writes."""

    line: Annotated[int, number("number of the line in the input", least=1)]
    status: Literal[
        "applied", "replayed", "refused", "conflict", "unchanged", "disabled", "planned", "failed", "invalid"
    ]
    reason: Annotated[str | None, text("code of the rule that refused it, or of the mistake in the line")]
    org: Org | None
    key: Annotated[str | None, text("the key it is booked under, once")]
    seq: Seq | None
    balance: Balance | None
    warnings: Warnings
    message: NotRequired[Annotated[str, text("the reason nothing was booked, for people")]]


class EventProblem(TypedDict):
    """An event that needs somebody, or another event."""

    line: Annotated[int | None, number("number of the line in the input", least=1)]
    event: Annotated[str | None, text("Stripe's id of the event")]
    object: Annotated[str | None, text("Stripe's id of the session, refund or dispute")]
    org: Org | None
    status: Literal["invalid", "pending", "refused", "conflict", "failed"]
    reason: Annotated[str | None, text("code of the rule that refused it, or of the mistake in the event")]
    message: Annotated[str, text("the problem, for people")]


class EventsDocument(TypedDict):
    """The outcome of webhook events, counted by payment, refund and dispute."""

    schema: Literal["meterctl.events.v1"]
    events: Annotated[int, number("events read")]
    other: Annotated[int, number("events that are not about payments")]
    foreign: Annotated[int, number("payments of something else than packs, and events of other accounts")]
    invalid: Annotated[int, number("lines that hold no event, or one that was not signed by Stripe")]
    applied: Annotated[int, number("operations booked")]
    planned: Annotated[int, number("operations that would be booked, on a dry run")]
    replayed: Annotated[int, number("operations booked before")]
    unchanged: Annotated[int, number("nothing to book")]
    waiting: Annotated[int, number("undecided at Stripe")]
    pending: Annotated[int, number("waiting for another event")]
    unpaid: Annotated[int, number("purchases completed whose money has not arrived")]
    refused: Annotated[int, number("operations that a rule refused")]
    conflict: Annotated[int, number("operations whose key was used for something else")]
    failed: Annotated[int, number("operations that failed")]
    problems: list[EventProblem]
    more: Annotated[int, number("problems that are not listed")]
    seconds: Seconds
    warnings: Warnings
