"""Detect collections of another application in the same database.

Our collections have everyday names. A collection with other documents must never get our indexes, validator or writes:
the other application's writes would fail from then on.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pymongo.collection import Collection
from pymongo.errors import OperationFailure

from meterctl.core.errors import StoreUnusable
from meterctl.core.stores.mongo import schema
from meterctl.core.stores.mongo.failures import is_denied

Document = dict[str, Any]

#: Options that change what a collection keeps or finds, in words: it drops documents, is no collection, folds letters.
_FOREIGN_OPTIONS = {
    "viewOn": "a view",
    "timeseries": "a time series",
    "capped": "a capped collection",
    "collation": "a collection with a collation",
    "expireAfterSeconds": "a collection that expires",
    "clusteredIndex": "a clustered collection",
}

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
    place: str,
    collections: Mapping[str, Collection[Document]],
    options_of: Callable[[Collection[Document]], Document],
) -> None:
    """Raise `StoreUnusable` if one of these collections is another application's. The keys are our names for them.

    For a database without a journal of meterctl. Once it has one, a foreign document is only a finding.
    """
    foreign = []
    for name, collection in collections.items():
        options = options_of(collection)
        kind = foreign_kind(options)  # first, because reading a view may fail or take long
        if kind is not None:
            foreign.append(f"{collection.name} ({kind})")
        elif _is_foreign(name, collection) or _has_foreign_rules(name, collection, options):
            foreign.append(collection.name)
    if foreign:
        raise foreign_collections(place, foreign)


def foreign_collections(place: str, names: Sequence[str]) -> StoreUnusable:
    """Return the error for collections of another application."""
    label = f"the collection {names[0]}" if len(names) == 1 else f"the collections {', '.join(names)}"
    return StoreUnusable(
        f"{place} holds {label} of another application; nothing was changed",
        hint="name another database, or give meterctl's collections other names: add ?meterctlPrefix=meterctl_ to "
        "the URL, or collection_prefix to the profile",
        code="foreign_collection",
    )


def foreign_kind(options: Mapping[str, Any]) -> str | None:
    """Return the kind of a collection with these options in words, if meterctl's cannot be of that kind."""
    return next((kind for option, kind in _FOREIGN_OPTIONS.items() if option in options), None)


def _has_foreign_rules(name: str, collection: Collection[Document], options: Document) -> bool:
    """Return True if a rule or a unique index of the collection, even an empty one, cannot be meterctl's."""
    expected = schema.expected_validator() if name == schema.JOURNAL else {}
    if options.get("validator") not in (None, {}, expected):
        return True
    return any(index.get("unique") for index in _other_indexes(collection))


def _other_indexes(collection: Collection[Document]) -> Iterable[Mapping[str, Any]]:
    """Return the indexes of the collection but the one of ``_id``, which every collection has."""
    try:
        return [index for name, index in collection.index_information().items() if name != schema.BY_ID]
    except OperationFailure as error:
        if is_denied(error):  # the user of `init` has this right
            return ()
        raise


def _is_foreign(name: str, collection: Collection[Document]) -> bool:
    documents = list(collection.find().sort("_id", 1).limit(_SAMPLE))
    return bool(documents) and not any(map(_MARKS[name], documents))
