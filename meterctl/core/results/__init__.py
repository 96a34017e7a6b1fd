"""Typed results of commands, each with the JSON document that scripts read.

A result has a ``document`` (the whole, for ``-o json``), ``rows`` (one record a line, for ndjson and csv) and an
``exit_code``. `meterctl.views` shows it to a person. The class declares its document: each attribute is a field, with
its meaning as annotation, unless it is `hidden`; a property takes part if it is `shown`. Annotations stay text, so no
command pays for them; `meterctl.schemas` reads them.

No result is frozen, though none changes once it is answered: a frozen class takes each command half a millisecond
longer to make, and a backfill twice as long to fill a million of them. For the same reason a name loads its module when
it is first used: a debit makes no class but that of its receipt.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # `as` hands a name on
    from meterctl.core.results.answers import Balance as Balance
    from meterctl.core.results.answers import LedgerPage as LedgerPage
    from meterctl.core.results.answers import Meter as Meter
    from meterctl.core.results.base import Receipt as Receipt
    from meterctl.core.results.base import Result as Result
    from meterctl.core.results.base import Status as Status
    from meterctl.core.results.base import Warning as Warning
    from meterctl.core.results.base import WriteResult as WriteResult
    from meterctl.core.results.base import document_names as document_names
    from meterctl.core.results.base import hidden as hidden
    from meterctl.core.results.base import schema_name as schema_name
    from meterctl.core.results.base import shown as shown
    from meterctl.core.results.findings import Finding as Finding
    from meterctl.core.results.findings import Verification as Verification
    from meterctl.core.results.records import Facts as Facts
    from meterctl.core.results.records import Listing as Listing
    from meterctl.core.results.records import Receipts as Receipts
    from meterctl.core.results.runs import Backfill as Backfill
    from meterctl.core.results.runs import Sweep as Sweep
    from meterctl.core.results.runs import SweepCommand as SweepCommand

#: Each name, by its module.
_NAMES = {
    "answers": ("Balance", "LedgerPage", "Meter"),
    "base": (
        "Receipt",
        "Result",
        "Status",
        "Warning",
        "WriteResult",
        "document_names",
        "hidden",
        "schema_name",
        "shown",
    ),
    "findings": ("Finding", "Verification"),
    "records": ("Facts", "Listing", "Receipts"),
    "runs": ("Backfill", "Sweep", "SweepCommand"),
}


def __getattr__(name: str) -> Any:
    module = next((module for module, names in _NAMES.items() if name in names), None)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(f"{__name__}.{module}"), name)
    return value
