"""What goes wrong with MongoDB, in the words of the ports."""

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
_BUILDING = 12587  # BackgroundOperationInProgressForNamespace

# Answers that leave open whether a write took effect, or that another node would not give: the server shuts down, steps
# down or has no majority, a router lost a shard, a time limit passed.
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
    """Everything inside together gets ``seconds``; what MongoDB raises comes out as an error of the ports."""
    try:
        with pymongo.timeout(seconds):
            yield
    except (PyMongoError, BSONError) as error:
        raise translated(error, place) from error


def translated(error: Exception, place: str) -> MeterctlError:
    """``place`` is named in the message: the store without any secret."""
    if is_unanswered(error):
        return StoreUnreachable(f"{place} did not answer: {_brief(error)}")
    code = _code(error)
    if code == _REJECTED:
        return StoreUnusable(
            f"{place} does not take an entry: {_brief(error)}",
            code="entry_rejected",
            hint="nothing of it was stored; this is a mistake in meterctl or in an edited plan: please report it",
        )
    if code == _BAD_VALUE and "hint provided" in str(error):
        return index_missing(place)
    if code in _ACCESS:
        return _denial(error, place)
    return StoreUnusable(f"{place} cannot do that: {_brief(error)}")


#: The right that each command of the server needs, where it is not called like the command.
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

_LACKING = re.compile(r"not authorized on (\S+) to execute command \{ (\w+): (?:\"([^\"]*)\")?")


def _denial(error: Exception, place: str) -> StoreUnusable:
    """Return the error of a user who lacks a right: with the right and the role, and without the command itself, which
    holds ids and signatures of the session."""
    found = _LACKING.search(_brief(error))
    if found is None:
        problem = "user or password is wrong, or the user may not log in here"
        return StoreUnusable(
            f"{place} denies access: {problem}",
            hint="check user, password and authSource in the URL; the user needs a role that meterctl init prints",
            code="access_denied",
        )
    database, command, collection = found.groups()
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
    """Whether the effect of the call is unknown, or somebody else might answer it."""
    if isinstance(error, ConnectionFailure | ExecutionTimeout | WriteConcernError):
        return True
    if isinstance(error, BulkWriteError) and error.details.get("writeConcernErrors"):
        return True
    return isinstance(error, PyMongoError) and (error.timeout or _code(error) in _UNANSWERED)


def is_building(error: OperationFailure) -> bool:
    """Whether indexes have to be made first that somebody else is making."""
    return _code(error) == _BUILDING


def is_denied(error: Exception) -> bool:
    """Return True if the user is logged in, and lacks a right."""
    return _code(error) == _UNAUTHORIZED


def duplicates(error: BulkWriteError) -> list[int]:
    """The places in the bulk that lost to a unique index; re-raises ``error`` if it says anything else as well."""
    failures = error.details["writeErrors"]
    if error.details.get("writeConcernErrors") or any(failure["code"] != DUPLICATE_KEY for failure in failures):
        raise error
    return [failure["index"] for failure in failures]


def rejected(error: BulkWriteError) -> int | None:
    """The place in an ordered bulk at which a document broke the validator, if that is all that went wrong."""
    (failure,) = error.details["writeErrors"] or [None]
    only = failure is not None and failure["code"] == _REJECTED and not error.details.get("writeConcernErrors")
    return failure["index"] if only else None


def _code(error: Exception) -> int | None:
    if isinstance(error, BulkWriteError) and error.details.get("writeErrors"):
        code: int = error.details["writeErrors"][-1]["code"]
        return code
    return error.code if isinstance(error, OperationFailure) else None


def _brief(error: Exception) -> str:
    """The driver's message without its appendices: the state of every server, the whole answer."""
    text = str(error)
    if isinstance(error, BulkWriteError):
        problems = [*error.details.get("writeErrors", []), *error.details.get("writeConcernErrors", [])]
        text = "; ".join(sorted({str(problem["errmsg"]) for problem in problems}))
    for appendix in (" (configured timeouts:", ", Timeout:", ", full error:", ", Topology Description:"):
        text = text.partition(appendix)[0]
    return text
