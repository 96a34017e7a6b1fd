"""What goes wrong with MongoDB, in the words of the ports."""

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

_ACCESS = {13, 18, 8000}  # Unauthorized, AuthenticationFailed, AtlasError
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
        hint = "check user and password, and that the user has the role that meterctl init prints"
        return StoreUnusable(f"{place} denies access: {_brief(error)}", hint=hint)
    return StoreUnusable(f"{place} cannot do that: {_brief(error)}")


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
