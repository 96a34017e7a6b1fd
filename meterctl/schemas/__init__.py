"""The JSON Schema of every document that meterctl prints, written once as types.

A document is described by a typed dictionary; pydantic turns it into JSON Schema (2020-12) for `meterctl schema`, and
checks real output against it in the tests, so the two cannot drift. Readers must expect further fields: adding one is
no new version. Only ``meterctl schema`` imports this, for pydantic takes longer to load than most commands run.
"""

from typing import Any

from pydantic import TypeAdapter
from typing_extensions import is_typeddict

from meterctl.schemas.entries import Entry
from meterctl.schemas.examining import Doctor
from meterctl.schemas.explaining import Explain
from meterctl.schemas.operating import (
    Config,
    Error,
    Init,
    Lock,
    Locks,
    Plans,
    PlanVersion,
    PlanVersions,
    Repair,
    Schemas,
)
from meterctl.schemas.planning import Apply, SavedPlan, SavedPlanLine
from meterctl.schemas.reading import (
    Alerts,
    BalanceDocument,
    History,
    Ledger,
    LedgerChart,
    Meter,
    Orgs,
    Reconcile,
    RefundPreview,
    Verify,
)
from meterctl.schemas.writing import Backfill, BackfillLine, Events, Receipt, Receipts, Sweep

DIALECT = "https://json-schema.org/draft/2020-12/schema"

#: Every document by its name: what stands in ``schema`` between ``meterctl.`` and ``.v1``, and the lines of files.
DOCUMENTS: dict[str, Any] = {
    "receipt": Receipt,
    "receipts": Receipts,
    "entry": Entry,
    "sweep": Sweep,
    "ledger": Ledger,
    "ledger-chart": LedgerChart,
    "meter": Meter,
    "history": History,
    "alerts": Alerts,
    "balance": BalanceDocument,
    "explain": Explain,
    "orgs": Orgs,
    "refund-preview": RefundPreview,
    "verify": Verify,
    "backfill": Backfill,
    "backfill-line": BackfillLine,
    "saved-plan": SavedPlan,
    "saved-plan-line": SavedPlanLine,
    "apply": Apply,
    "events": Events,
    "reconcile": Reconcile,
    "plan-version": PlanVersion,
    "plan": PlanVersions,
    "plans": Plans,
    "locks": Locks,
    "lock": Lock,
    "config": Config,
    "init": Init,
    "doctor": Doctor,
    "repair": Repair,
    "schemas": Schemas,
    "error": Error,
}


def adapter(name: str) -> TypeAdapter[Any]:
    """What checks documents of this name."""
    return TypeAdapter(DOCUMENTS[name])


def json_schema(name: str) -> dict[str, Any]:
    """The JSON Schema of the document ``name``."""
    schema = adapter(name).json_schema(mode="serialization")
    head = {"$schema": DIALECT, "$id": f"urn:meterctl:{name}:v1"}
    return {**head, **schema, "title": f"meterctl.{name}.v1"}


def describes(name: str) -> str:
    """What the document ``name`` holds, in a sentence."""
    document = DOCUMENTS[name]
    description: str = document.__doc__ if is_typeddict(document) else document.__metadata__[0].description
    return description.partition("\n\n")[0].replace("\n", " ")
