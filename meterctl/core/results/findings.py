"""The findings of `verify`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from meterctl.core import errors
from meterctl.core.results.base import Result, shown

if TYPE_CHECKING:
    from meterctl.core.documents import fields as f
    from meterctl.core.documents.fields import means, number


class Finding(NamedTuple):
    """A result of `verify`: the number of the check (see docs/format.md), and the place, as far as it is known.

    It was found ``times`` times, at different entries; ``seq`` is the first.
    """

    org: str | None
    seq: int | None
    check: int
    message: str
    times: int = 1

    def document(self) -> dict[str, Any]:
        """Return it as documents hold it."""
        fields = self._asdict()
        fields["count"] = fields.pop("times")
        return fields


@dataclass(slots=True, eq=False, repr=False)
class Verification(Result):
    """The findings of the checks of journals."""

    name = "verify"

    orgs: Annotated[int, number("orgs checked")] = 0
    entries: Annotated[int, number("entries checked")] = 0
    findings: list[Finding] = field(default_factory=list)
    more: Annotated[int, number("findings beyond those listed")] = 0
    seconds: f.Seconds = 0.0
    journal_found: Annotated[bool, means("false: there was no journal to check")] = True

    @shown
    def ok(self) -> Annotated[bool, means("true: there is no finding")]:
        return not self.findings

    @property
    def exit_code(self) -> int:
        return errors.DONE if self.ok else errors.FINDINGS
