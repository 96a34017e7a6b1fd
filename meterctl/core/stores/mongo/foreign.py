"""Detect collections of another application in the same database.

Our collections have everyday names. A collection with other documents must never get our indexes, validator or writes:
the other application's writes would fail from then on.
"""

from collections.abc import Callable, Mapping
from typing import Any

from pymongo.collection import Collection

from meterctl.core.errors import StoreUnusable
from meterctl.core.stores.mongo import schema

Document = dict[str, Any]

#: Documents of a collection to check. Ours have texts as ``_id``, which sort before the driver's own ids.
_SAMPLE = 20

#: Recognizes a document of each collection by its fields, even a damaged one.
_MARKS: dict[str, Callable[[Document], bool]] = {
    schema.JOURNAL: lambda document: {"org", "seq", "key", "prev", "hash"} <= document.keys(),
    schema.HEADS: lambda document: isinstance(document.get("head"), dict) and "seq" in document["head"],
    schema.CLAIMS: lambda document: "org" in document and document.keys() <= {"_id", "org", "name", "session"},
    schema.PLANS: lambda document: {"plan", "version", "weekly_quota"} <= document.keys(),
    schema.LOCKS: lambda document: {"holder", "acquired_at", "expires_at"} <= document.keys(),
}


def refuse_foreign(
    place: str, collections: Mapping[str, Collection[Document]], journal_options: Callable[[], Document]
) -> None:
    """Raise `StoreUnusable` if one of these collections is another application's. The keys are our names for them.

    For a database without a journal of meterctl. Once it has one, a foreign document is only a finding.
    """
    foreign = [collection.name for name, collection in collections.items() if _is_foreign(name, collection)]
    journal = collections[schema.JOURNAL].name
    if not foreign and journal_options().get("validator") not in (None, {}, schema.expected_validator()):
        foreign.append(journal)
    if foreign:
        names = f"the collection {foreign[0]}" if len(foreign) == 1 else f"the collections {', '.join(foreign)}"
        raise StoreUnusable(
            f"{place} holds {names} of another application; nothing was changed",
            hint="name another database, or give meterctl's collections other names: add ?meterctlPrefix=meterctl_ to "
            "the URL, or collection_prefix to the profile",
            code="foreign_collection",
        )


def _is_foreign(name: str, collection: Collection[Document]) -> bool:
    documents = list(collection.find().sort("_id", 1).limit(_SAMPLE))
    return bool(documents) and not any(map(_MARKS[name], documents))
