"""The base of all operations."""

from dataclasses import dataclass
from typing import Any, ClassVar

from meterctl.core.domain.record import Record


@dataclass(slots=True, eq=False, repr=False)
class Operation(Record):
    """Base of all: an operation concerns one org."""

    name: ClassVar[str]
    needs_reason: ClassVar[bool] = False

    org: str

    @property
    def key(self) -> str:
        raise NotImplementedError

    def parameters(self) -> dict[str, Any]:
        raise NotImplementedError

    def document(self) -> dict[str, Any]:
        """Return its fields in a file: its parameters, and those that a replay may change."""
        return self.parameters()
