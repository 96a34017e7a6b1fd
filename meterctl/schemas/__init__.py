"""Turn declared documents into JSON Schema (2020-12), and into checkers of real output.

The declarations are typed dictionaries in `meterctl.core.documents`; pydantic does the rest here, so what
``meterctl schema`` prints and what the tests check cannot drift apart. Readers must expect further fields: adding one
is no new version. Only ``meterctl schema`` imports this, for pydantic takes longer to load than most commands run.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache, reduce
from operator import or_
from types import UnionType
from typing import Annotated, Any, Literal, NotRequired, Union, cast, get_args, get_origin, get_type_hints, is_typeddict

from pydantic import Field, TypeAdapter
from typing_extensions import TypedDict  # pydantic asks for this one before Python 3.12

from meterctl.core.documents import entries, fields, reading, writing
from meterctl.core.documents.entries import EntryDocument
from meterctl.core.documents.examining import DoctorDocument
from meterctl.core.documents.explaining import Explain
from meterctl.core.documents.fields import Meaning
from meterctl.core.documents.operating import (
    Commands,
    Config,
    ConfigInit,
    Error,
    ExportedPlan,
    Init,
    Lock,
    LocksDocument,
    PlansDocument,
    PlanVersionDocument,
    PlanVersions,
    RepairDocument,
    Schemas,
)
from meterctl.core.documents.planning import SavedPlanDocument, SavedPlanLine
from meterctl.core.documents.reading import (
    Alerts,
    HistoryDocument,
    LotsDocument,
    Orgs,
    Reconcile,
    RefundPreview,
)
from meterctl.core.documents.receipts import Apply, ReceiptsDocument
from meterctl.core.documents.statements import ReportDocument, StatementDocument
from meterctl.core.documents.writing import (
    BackfillLine,
    EventsDocument,
)
from meterctl.core.imports.devkit.audit_report import AuditReport
from meterctl.core.imports.devkit.importer import DevkitImportReport
from meterctl.core.imports.report import ImportReport
from meterctl.core.model import Instant
from meterctl.core.reads.chart import LedgerChart
from meterctl.core.results import (
    Backfill,
    Balance,
    LedgerPage,
    Meter,
    Receipt,
    Result,
    Sweep,
    Verification,
    answers,
    base,
    document_names,
    findings,
    runs,
    schema_name,
    shown,
)

DIALECT = "https://json-schema.org/draft/2020-12/schema"

#: The types that JSON has for those of results.
_IN_JSON: dict[Any, Any] = {Iterable: list, Sequence: list, Mapping: dict}

#: The modules whose names the annotations of results use.
_MODULES = (entries, fields, reading, writing, answers, base, findings, runs)

#: The names that the annotations of results use. An entry in a document is declared by its kind.
_NAMES: dict[str, Any] = {
    **{name: value for module in _MODULES for name, value in vars(module).items()},
    "f": fields,
    "Instant": Instant,
    "Entry": entries.EntryDocument,
    "Finding": reading.FindingRecord,
    "Warning": fields.WarningRecord,
}

#: Every document by its name: the part of ``schema`` between ``meterctl.`` and ``.v1``, and the lines of files.
DOCUMENTS: dict[str, Any] = {
    "receipt": Receipt,
    "receipts": ReceiptsDocument,
    "entry": EntryDocument,
    "sweep": Sweep,
    "ledger": LedgerPage,
    "ledger-chart": LedgerChart,
    "meter": Meter,
    "history": HistoryDocument,
    "alerts": Alerts,
    "balance": Balance,
    "lots": LotsDocument,
    "explain": Explain,
    "orgs": Orgs,
    "statement": StatementDocument,
    "report": ReportDocument,
    "refund-preview": RefundPreview,
    "verify": Verification,
    "backfill": Backfill,
    "backfill-line": BackfillLine,
    "saved-plan": SavedPlanDocument,
    "saved-plan-line": SavedPlanLine,
    "apply": Apply,
    "events": EventsDocument,
    "reconcile": Reconcile,
    "plan-version": PlanVersionDocument,
    "plan": PlanVersions,
    "plans": PlansDocument,
    "locks": LocksDocument,
    "lock": Lock,
    "config": Config,
    "config-init": ConfigInit,
    "commands": Commands,
    "init": Init,
    "doctor": DoctorDocument,
    "import": ImportReport,
    "audit": AuditReport,
    "devkit-import": DevkitImportReport,
    "exported-plan": ExportedPlan,
    "repair": RepairDocument,
    "schemas": Schemas,
    "error": Error,
}


def adapter(name: str) -> TypeAdapter[Any]:
    """Return a checker of documents of this name."""
    declaration = DOCUMENTS[name]
    if isinstance(declaration, type) and issubclass(declaration, Result):
        return TypeAdapter(_with_schema(_pydantic_type(declaration), name))
    return TypeAdapter(_pydantic_type(declaration))


def json_schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema of the document ``name``."""
    schema = adapter(name).json_schema(mode="serialization")
    head = {"$schema": DIALECT, "$id": f"urn:meterctl:{name}:v1"}
    return {**head, **schema, "title": f"meterctl.{name}.v1"}


def describes(name: str) -> str:
    """Return the meaning of the document ``name``, in a sentence."""
    document = DOCUMENTS[name]
    source: Any = document if isinstance(document, type) else document.__metadata__[0]
    description: str = getattr(source, "description", None) or source.__doc__
    return description.partition("\n\n")[0].replace("\n", " ")


def _pydantic_type(declaration: Any) -> Any:
    """Return a declared type in the form that pydantic reads: its own typed dictionaries and fields."""
    if is_typeddict(declaration):
        return _record(declaration)
    if isinstance(declaration, type) and issubclass(declaration, Result):
        return _result_record(cast(type, declaration))
    origin, parts = get_origin(declaration), get_args(declaration)
    if origin is None or origin is Literal:
        return declaration
    if origin is Annotated:
        return Annotated[_pydantic_type(parts[0]), *map(_field, parts[1:])]
    inner = [_pydantic_type(part) for part in parts]
    return reduce(or_, inner) if origin in (Union, UnionType) else _IN_JSON.get(origin, origin)[*inner]


@lru_cache(maxsize=512)
def _record(declaration: Any) -> Any:
    """Return a typed dictionary of pydantic's kind. Its name loses the suffix that keeps it apart from the values of
    the core."""
    hints = get_type_hints(declaration, localns=_NAMES, include_extras=True)
    members = {name: _member(name in declaration.__required_keys__, hint) for name, hint in hints.items()}
    record: Any = TypedDict(declaration.__name__.removesuffix("Document"), members)  # type: ignore[misc]
    record.__doc__ = declaration.__doc__
    return record


def _with_schema(record: Any, name: str) -> Any:
    """Return a record as the whole document that a command prints."""
    members = {"schema": Literal[schema_name(name)], **get_type_hints(record, include_extras=True)}
    document: Any = TypedDict(record.__name__.removesuffix("Record"), members)  # type: ignore[misc]
    document.__doc__ = record.__doc__
    return document


@lru_cache(maxsize=64)
def _result_record(result: type[Result]) -> Any:
    """Return the typed dictionary that a result declares by its attributes and shown properties."""
    hints = get_type_hints(result, localns=_NAMES, include_extras=True)
    hints |= {
        name: get_type_hints(value.fget, None, _NAMES, include_extras=True)["return"]
        for name, value in vars(result).items()
        if isinstance(value, shown)
    }
    columns = {name: _pydantic_type(hints[name]) for name in document_names(result)}
    record: Any = TypedDict(f"{result.__name__}Record", columns)  # type: ignore[misc]
    record.__doc__ = result.__doc__
    return record


def _member(required: bool, hint: Any) -> Any:
    if get_origin(hint) is NotRequired:
        hint = get_args(hint)[0]
    return _pydantic_type(hint) if required else NotRequired[_pydantic_type(hint)]


def _field(meaning: Any) -> Any:
    if not isinstance(meaning, Meaning):
        return meaning
    extra: Any = None if meaning.format is None else {"format": meaning.format}
    options: dict[str, Any] = meaning._asdict() | {"ge": meaning.least, "le": meaning.most, "json_schema_extra": extra}
    return Field(**{name: value for name, value in options.items() if name not in ("least", "most", "format")})
