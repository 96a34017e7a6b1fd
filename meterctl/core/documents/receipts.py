"""Documents that hold receipts. They import `meterctl.core.results`, which imports all other documents."""

from typing import Annotated, Literal, TypedDict

from meterctl.core.documents.fields import Seconds, Warnings, means, number, signed, text
from meterctl.core.documents.planning import MovedOrg, Plan, PlanProblem
from meterctl.core.results import Receipt


class ReceiptsDocument(TypedDict):
    """The outcomes of several operations of one command."""

    schema: Literal["meterctl.receipts.v1"]
    command: Annotated[str, text("command")]
    receipts: list[Receipt]
    warnings: Warnings


class Apply(TypedDict):
    """The outcome of carrying out a saved plan."""

    schema: Literal["meterctl.apply.v1"]
    plan: Plan
    operations: Annotated[int, number("operations answered")]
    applied: Annotated[int, number("operations booked")]
    planned: Annotated[int, number("operations that would be booked, on a dry run")]
    replayed: Annotated[int, number("operations booked before")]
    unchanged: Annotated[int, number("sweeps of orgs that have nothing due any more")]
    disabled: Annotated[int, number("operations of usage while the meter is off")]
    moved: Annotated[int, number("operations not booked because their org has new entries since the plan was made")]
    refused: Annotated[int, number("operations that a rule refused")]
    conflict: Annotated[int, number("operations whose key was used for something else")]
    failed: Annotated[int, number("operations whose org's journal cannot be read")]
    amount: Annotated[int, signed("sum of the units booked")]
    orgs_moved: list[MovedOrg]
    problems: list[PlanProblem]
    more_problems: Annotated[int, number("problems that are counted only")]
    receipts: Annotated[list[Receipt], means("of the first hundred operations")]
    seconds: Seconds
    warnings: Warnings
