"""The answer to a line of a file."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from meterctl.core.results import Warning


class Answer(NamedTuple):
    """The result of one line. It has a ``message`` if the line booked nothing and needs attention."""

    line: int
    status: str
    reason: str | None
    org: str | None
    key: str | None
    seq: int | None
    balance: int | None
    message: str | None
    warnings: Sequence[Warning] = ()

    def document(self) -> dict[str, Any]:
        """Return a line of the results file."""
        document = self._asdict()
        document["warnings"] = [warning._asdict() for warning in self.warnings]
        if self.message is None:
            del document["message"]
        return document
