"""Compare the deployment and the database with the required setup."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC
from functools import partial
from typing import Any

from pymongo.collection import Collection

from meterctl.core.domain.instants import from_millis, to_millis
from meterctl.core.errors import StoreUnusable
from meterctl.core.ports import Clock, Observation
from meterctl.core.stores.mongo import schema
from meterctl.core.stores.mongo.database import Document, MongoDatabase
from meterctl.core.stores.mongo.sharding import check_keys, is_sharded

_INIT = "complete it with: meterctl init"

_LOOK = "run meterctl doctor as a user with the role dbAdmin"

#: A verdict, the state, and the next step: the fields of `Observation` after the name.
_Finding = tuple[bool | None, str, str | None]

#: The oldest supported server version.
_OLDEST = (4, 4)

#: Milliseconds that this machine's clock may differ from the server's, beyond the duration of the call.
_SKEW = 5_000

#: Seconds that a majority of the set may be behind its primary.
_LAG = 10.0

#: Options that no index here may have: they omit documents, hide the index, fold letters or delete documents.
_FORBIDDEN_OPTIONS = ("sparse", "hidden", "collation", "expireAfterSeconds")

#: Rights that a user who books must not have.
_HARMFUL = {"update", "remove", "dropCollection", "convertToCapped"}


def examine(database: MongoDatabase, clock: Clock) -> list[Observation]:
    before = to_millis(clock.now())
    with database.answered():
        hello = database.client.admin.command("hello")
        version = tuple(database.client.server_info()["versionArray"])
    after = to_millis(clock.now())
    return [
        _version(version),
        _topology(hello),
        _write_concern(database, hello),
        _skew(before, after, hello),
        *_kinds(database),
        *_indexes(database),
        *_shard_keys(database, hello),
        _observe(database, "validator", partial(_validator, database)),
        _observe(database, "rights", partial(_rights, database)),
    ]


def _version(version: tuple[int, ...]) -> Observation:
    summary = f"MongoDB {'.'.join(map(str, version[:3]))}"
    if version >= _OLDEST:
        return Observation("store", True, summary)
    return Observation("store", False, summary, "meterctl needs MongoDB 4.4 or later: upgrade the server")


def _topology(hello: Mapping[str, Any]) -> Observation:
    if is_sharded(hello):
        return Observation("topology", True, "sharded cluster")
    hosts = [*hello.get("hosts", []), *hello.get("passives", [])]
    if not hosts:
        fix = "fine for tests; in production use a replica set of three, which survives the loss of a machine"
        return Observation("topology", None, "a single server without replication", fix)
    summary = f"replica set {hello['setName']} of {len(hosts)}, primary {hello.get('primary', 'unknown')}"
    if len(hosts) >= 3:
        return Observation("topology", True, summary)
    return Observation("topology", None, summary, "add members: a set of three survives the loss of a machine")


def _write_concern(database: MongoDatabase, hello: Mapping[str, Any]) -> Observation:
    expected = "majority, journaled, for journal and claims"
    if database.journal.write_concern.document != {"w": "majority", "j": True}:
        return Observation("write concern", False, f"not {expected}", "this is a mistake in meterctl: please report it")
    last = hello.get("lastWrite", {})
    if "majorityWriteDate" in last:
        lag = (last["lastWriteDate"] - last["majorityWriteDate"]).total_seconds()
        if lag > _LAG:
            fix = "writes will time out: look at rs.status() for members that are down or slow"
            return Observation("write concern", False, f"the majority is {lag:.0f} seconds behind the primary", fix)
    return Observation("write concern", True, expected)


def _skew(before: int, after: int, hello: Mapping[str, Any]) -> Observation:
    server = round(hello["localTime"].replace(tzinfo=UTC).timestamp() * 1000)
    skew = max(before - server, server - after, 0)
    summary = f"this machine differs by {skew / 1000:,.1f} seconds from the server, where it is {from_millis(server)}"
    if skew <= _SKEW:
        return Observation("clock", True, summary)
    return Observation("clock", False, summary, "set both clocks by NTP: entries take their time from this machine")


# -- the database


def _kinds(database: MongoDatabase) -> Iterator[Observation]:
    """Report collections that drop documents, such as capped ones, and views."""
    with database.answered():
        kinds = [
            (place.name, kind) for place in database.collections.values() if (kind := database.foreign_kind(place))
        ]
    if kinds:
        summary = ", ".join(f"{name} is {kind}" for name, kind in kinds)
        fix = (
            "make plain collections of these names, restore their documents from a backup, then: meterctl verify --all"
        )
        finding = f"another application's, or not plain: {summary}"
        yield Observation("collections", False, finding, fix, "foreign_collection")


def _indexes(database: MongoDatabase) -> Iterator[Observation]:
    collections = {schema.JOURNAL: database.journal, schema.HEADS: database.heads}
    for name, expected in schema.expected_indexes().items():
        yield _observe(database, f"indexes of {name}", partial(_compare, collections[name], expected))


def _shard_keys(database: MongoDatabase, hello: Mapping[str, Any]) -> list[Observation]:
    return [_observe(database, "shard keys", partial(check_keys, database))] if is_sharded(hello) else []


def _observe(database: MongoDatabase, name: str, look: Callable[[], _Finding]) -> Observation:
    """Return the observation of ``look``; its verdict is unknown if this user lacks the rights."""
    try:
        with database.answered():
            return Observation(name, *look())
    except StoreUnusable as problem:
        return Observation(name, None, f"cannot be checked: {problem.message}", _LOOK)


def _compare(collection: Collection[Document], expected: Iterable[schema.Index]) -> _Finding:
    live = collection.index_information()
    missing = [index.name for index in expected if index.name not in live]
    other = [index.name for index in expected if index.name in live and not _is(live[index.name], index)]
    if missing:
        return False, f"missing: {', '.join(missing)}", f"{_INIT}; then: meterctl verify --all"
    if other:
        fix = "drop these indexes, then: meterctl init; then: meterctl verify --all"
        return False, f"not as expected: {', '.join(other)}", fix
    return True, "as expected", None


def _is(live: Mapping[str, Any], index: schema.Index) -> bool:
    keys = [(field, int(direction)) for field, direction in live["key"]]
    partial = live.get("partialFilterExpression")
    return (
        keys == list(index.keys)
        and bool(live.get("unique")) == index.unique
        and (dict(partial) if partial is not None else None) == index.partial
        and all(live.get(option, False) is False for option in _FORBIDDEN_OPTIONS)
    )


def _validator(database: MongoDatabase) -> _Finding:
    options = database.journal_options()
    if not options.get("validator"):
        return False, "the journal has no validator", _INIT
    if options["validator"] != schema.expected_validator():
        return False, "the journal has a different validator", _INIT
    level, action = options.get("validationLevel", "strict"), options.get("validationAction", "error")
    if (level, action) != ("strict", "error"):
        fix = "enforce it with collMod: validationLevel strict, validationAction error"
        return False, f"the validator has only level {level}, action {action}", fix
    return True, "as expected", None


def _rights(database: MongoDatabase) -> _Finding:
    login = database.client.admin.command({"connectionStatus": 1, "showPrivileges": True})["authInfo"]
    least = "connect as a user that has only the role which meterctl init prints"
    if not login["authenticatedUsers"]:
        problem = "no user is logged in: without access control, anyone who reaches the server may change entries"
        return None, problem, f"switch access control on, and {least}"
    may = _may(login["authenticatedUserPrivileges"], database)
    harmful, lacking = sorted(may & _HARMFUL), sorted({"find", "insert"} - may)
    if lacking == ["insert"] and not harmful:
        return None, "may read the journal, but not add to it", "to book, connect as a user with the role meterctl"
    if lacking:
        return False, f"may not {' nor '.join(lacking)} in the journal", least
    if harmful:
        return False, f"may also {', '.join(harmful)} in the journal", least
    return True, "may add to the journal and read it, but not change or remove an entry", None


def _may(privileges: Iterable[Mapping[str, Any]], database: MongoDatabase) -> set[str]:
    """Return the actions that the privileges allow on the journal."""
    covering = (privilege for privilege in privileges if _covers(privilege["resource"], database))
    return {action for privilege in covering for action in privilege["actions"]}


def _covers(resource: Mapping[str, Any], database: MongoDatabase) -> bool:
    by_name = resource.get("db") in ("", database.name) and resource.get("collection") in ("", database.journal.name)
    return bool(resource.get("anyResource")) or by_name
