"""The world that an operation is decided in, and the forms of a decision."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

from meterctl.core.domain.effects import Draft
from meterctl.core.domain.policy import PlanBook, Terms
from meterctl.core.errors import Refusal
from meterctl.core.model import Entry, Instant, PlanVersion, State


class Idle(NamedTuple):
    """Nothing to book, and that is right: ``status`` says why."""

    status: Literal["unchanged", "disabled"]
    message: str


Decision = Draft | Refusal | Idle


class History(Protocol):
    """The past of an org, as far as an operation may need it beyond the state."""

    def by_key(self, key: str) -> Entry | None: ...

    def by_seq(self, seq: int) -> Entry | None: ...

    def of_session(self, session: str) -> Sequence[Entry]:
        """Return all entries that name the session, oldest first."""
        ...

    def session_of(self, name: str) -> str | None:
        """Return the session under which the org booked the payment of this name."""
        ...

    def forfeited_of(self, lot: int) -> int:
        """Return the units of ``lot`` that a give-back found expired."""
        ...

    def voided_of(self, lot: int) -> int:
        """Return the units of ``lot`` that an operator voided, and that no undo has taken up again."""
        ...

    def extension_of(self, lot: int) -> Entry | None:
        """Return the newest extension of ``lot``."""
        ...


class Context(NamedTuple):
    """The facts for a decision: the org's state at ``at``, the seq its entry would get, and the rest of the world.

    ``said`` is the time the caller gave (else now); it lies before ``at`` for an event that arrives late.
    """

    state: State
    seq: int
    at: Instant
    said: Instant
    terms: Terms
    plans: PlanBook
    history: History

    def in_force(self) -> PlanVersion:
        """Return the version of the org's plan that is in force."""
        return self.plans.in_force(self.terms.plan_of(self.state, self.at), self.at)

    def quota(self) -> int:
        """Return the week's quota: the open week's, else the one that the next usage would open a week with."""
        return self.in_force().weekly_quota if self.state.week is None else self.state.week.quota
