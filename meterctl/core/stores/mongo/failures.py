"""Translate the errors of MongoDB into those of the ports."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pymongo
from bson.errors import BSONError
from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
    WriteConcernError,
)

from meterctl.core.errors import MeterctlError, StoreUnreachable, StoreUnusable, index_missing

DUPLICATE_KEY = 11000

_UNAUTHORIZED = 13
_ACCESS = {_UNAUTHORIZED, 18, 8000}  # AuthenticationFailed, AtlasError
_REJECTED = 121  # DocumentValidationFailure
_BAD_VALUE = 2
_ON_VIEW = 166  # CommandNotSupportedOnView
_BUILDING = 12587  # BackgroundOperationInProgressForNamespace

# Error codes after which a write may have taken effect, or another node could answer: the server shuts down, steps down
# or has no majority, a router lost a shard, a time limit passed.
_UNANSWERED = {
    *(6, 7, 89, 9001),  # HostUnreachable, HostNotFound, NetworkTimeout, SocketException
    *(50, 262),  # MaxTimeMSExpired, ExceededTimeLimit
    *(64, 79, 100),  # WriteConcernFailed, UnknownReplWriteConcern, UnsatisfiableWriteConcern
    *(91, 11600, 11602),  # ShutdownInProgress, InterruptedAtShutdown, InterruptedDueToReplStateChange
    *(189, 10107),  # PrimarySteppedDown, NotWritablePrimary
    *(13435, 13436),  # NotPrimaryNoSecondaryOk, NotPrimaryOrSecondary
    *(133, 134),  # FailedToSatisfyReadPreference, ReadConcernMajorityNotAvailableYet
    *(63, 150, 13388),  # a router's view of the shards is out of date
}


@contextmanager
def answered(place: str, seconds: float) -> Iterator[None]:
    """Limit the block to ``seconds`` in all, and raise MongoDB's errors as errors of the ports."""
    try:
        with pymongo.timeout(seconds):
            yield
    except (PyMongoError, BSONError) as error:
        raise translate(error, place) from error


def translate(error: Exception, place: str) -> MeterctlError:
    """Return the error of the ports; its message names ``place``, the store without any secret."""
    if is_unanswered(error):
        return StoreUnreachable(f"{place} did not answer: {_brief(error)}")
    code = _code(error)
    if code == _REJECTED:
        return StoreUnusable(
            f"{place} rejects an entry: {_brief(error)}",
            code="entry_rejected",
            hint="the entry was not stored; this is a mistake in meterctl or in an edited saved plan: please report it",
        )
    if code == _BAD_VALUE and "hint provided" in str(error):
        return index_missing(place)
    if code == _ON_VIEW:
        return StoreUnusable(
            f"{place} holds a view with the name of a collection of meterctl: {_brief(error)}",
            hint="see which one with: meterctl doctor",
            code="foreign_collection",
        )
    if code in _ACCESS:
        return _denial(error, place)
    return StoreUnusable(f"{place} cannot do that: {_brief(error)}")


#: The right that each server command needs, if its name differs from the command.
_RIGHTS = {
    "aggregate": "find",
    "count": "find",
    "distinct": "find",
    "getMore": "find",
    "delete": "remove",
    "findAndModify": "update",
    "findandmodify": "update",
    "createIndexes": "createIndex",
    "create": "createCollection",
}

_NOT_AUTHORIZED = re.compile(r"not authorized on (\S+) to execute command \{ (\w+): (?:\"([^\"]*)\")?")


def _denial(error: Exception, place: str) -> StoreUnusable:
    """Return the error of a user who lacks a right, naming the right and the role.

    It omits the command, which holds ids and signatures of the session.
    """
    match = _NOT_AUTHORIZED.search(_brief(error))
    if match is None:
        problem = "user or password is wrong, or the user may not log in here"
        return StoreUnusable(
            f"{place} denies access: {problem}",
            hint="check user, password and authSource in the URL; the user needs a role that meterctl init prints",
            code="access_denied",
        )
    database, command, collection = match.groups()
    right = _RIGHTS.get(command, command)
    where = f"the collection {collection}" if collection else f"the database {database}"
    if right in ("createIndex", "collMod", "createCollection"):
        role, hint = "dbAdmin", "run meterctl init as a user with the role dbAdmin; to book, the role meterctl suffices"
    elif right in ("find", "listIndexes", "listCollections"):
        role, hint = "meterctlReader (to read) or meterctl (to book)", "make the roles that meterctl init prints"
    else:
        role, hint = "meterctl", "make the role that meterctl init prints, and grant it to this user"
    return StoreUnusable(
        f"{place} denies access: this user lacks the right {right} on {where}, which the role {role} has",
        hint=hint,
        code="access_denied",
    )


def is_unanswered(error: Exception) -> bool:
    """Return True if the write may have taken effect, or another node could answer."""
    if isinstance(error, ConnectionFailure | ExecutionTimeout | WriteConcernError):
        return True
    if isinstance(error, BulkWriteError) and error.details.get("writeConcernErrors"):
        return True
    return isinstance(error, PyMongoError) and (error.timeout or _code(error) in _UNANSWERED)


def is_building(error: OperationFailure) -> bool:
    """Return True if another process is still building indexes that the command needs."""
    return _code(error) == _BUILDING


def is_on_view(error: Exception) -> bool:
    """Return True if the command needs a collection, and its name is that of a view."""
    return _code(error) == _ON_VIEW


def is_denied(error: Exception) -> bool:
    """Return True if the user is logged in but lacks a right."""
    return _code(error) == _UNAUTHORIZED


def duplicates(error: BulkWriteError) -> list[int]:
    """Return the positions in the bulk that clash with a unique index; re-raise ``error`` if it has any other cause."""
    failures = error.details["writeErrors"]
    if error.details.get("writeConcernErrors") or any(failure["code"] != DUPLICATE_KEY for failure in failures):
        raise error
    return [failure["index"] for failure in failures]


def rejected_position(error: BulkWriteError) -> int | None:
    """Return the position in an ordered bulk of the document that broke the validator; None for other failures."""
    (failure,) = error.details["writeErrors"] or [None]
    only = failure is not None and failure["code"] == _REJECTED and not error.details.get("writeConcernErrors")
    return failure["index"] if only else None


def _code(error: Exception) -> int | None:
    if isinstance(error, BulkWriteError) and error.details.get("writeErrors"):
        code: int = error.details["writeErrors"][-1]["code"]
        return code
    return error.code if isinstance(error, OperationFailure) else None


def _brief(error: Exception) -> str:
    """Return the driver's message without its appendices: server states and the full response."""
    text = str(error)
    if isinstance(error, BulkWriteError):
        problems = [*error.details.get("writeErrors", []), *error.details.get("writeConcernErrors", [])]
        text = "; ".join(sorted({str(problem["errmsg"]) for problem in problems}))
    for appendix in (" (configured timeouts:", ", Timeout:", ", full error:", ", Topology Description:"):
        text = text.partition(appendix)[0]
    return text
