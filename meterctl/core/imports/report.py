"""What an import answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from meterctl.core.results import Result


@dataclass(slots=True)
class Imported(Result):
    """What an import found in its source, and what of it is new here. ``missing_plans`` are plans that open weeks or
    orgs are on, and that neither the export nor the store has a version of."""

    name = "import"

    source: str
    orgs: int = 0
    entries: int = 0
    known: int = 0
    imported: int = 0
    plans: int = 0
    missing_plans: Sequence[str] = ()
    dry_run: bool = False
    seconds: float = 0.0

    def fields(self) -> dict[str, Any]:
        return {
            "source": self.source,
            "status": "planned" if self.dry_run else "applied" if self.imported or self.plans else "unchanged",
            "orgs": self.orgs,
            "entries": self.entries,
            "known": self.known,
            "imported": self.imported,
            "plans": self.plans,
            "missing_plans": list(self.missing_plans),
            "dry_run": self.dry_run,
            "seconds": round(self.seconds, 3),
        }
