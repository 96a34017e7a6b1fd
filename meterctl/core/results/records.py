"""Results that are plain records, and the receipts of several operations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from meterctl.core import errors
from meterctl.core.results.base import Receipt, Warning, WriteResult


@dataclass(slots=True, eq=False, repr=False)
class Listing(WriteResult):
    """Any list of records under one name: ``items`` stand in the document under ``plural``, after ``about``. They may
    be a stream: then the result is read once."""

    name: str  # type: ignore[misc]
    plural: str
    items: Iterable[Mapping[str, Any]]
    about: Mapping[str, Any] = field(default_factory=dict)
    warnings: Sequence[Warning] = ()

    @property
    def org(self) -> str | None:
        """The one org that the records are about; None: of several."""
        return self.about.get("org")

    @property
    def known(self) -> bool:
        """False if that org has no journal."""
        return self.about.get("known", True) is True

    def fields(self) -> dict[str, Any]:
        warnings = {"warnings": self.warning_records()} if self.warnings else {}
        return {**self.about, self.plural: list(self.items), **warnings}

    def rows(self) -> Iterable[Mapping[str, Any]]:
        return self.items


@dataclass(slots=True, eq=False, repr=False)
class Facts(WriteResult):
    """Any single record under one name."""

    name: str  # type: ignore[misc]
    facts: Mapping[str, Any]
    exit_code: int = errors.DONE
    warnings: Sequence[Warning] = ()

    def fields(self) -> dict[str, Any]:
        return {**self.facts, **({"warnings": self.warning_records()} if self.warnings else {})}


@dataclass(slots=True, eq=False, repr=False)
class Receipts(WriteResult):
    """The receipts of several operations that one command requested."""

    name = "receipts"

    command: str
    receipts: Sequence[Receipt]
    warnings: Sequence[Warning] = ()

    @property
    def exit_code(self) -> int:
        return max((receipt.exit_code for receipt in self.receipts), default=errors.DONE)

    def fields(self) -> dict[str, Any]:
        receipts = [receipt.fields() for receipt in self.receipts]
        return {"command": self.command, "receipts": receipts, "warnings": self.warning_records()}

    def rows(self) -> Iterable[Mapping[str, Any]]:
        return [receipt.fields() for receipt in self.receipts]
