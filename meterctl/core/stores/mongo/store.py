"""The store: five repositories over one database."""

import re
from contextlib import AbstractContextManager, nullcontext
from typing import Any
from urllib.parse import unquote

from bson.errors import BSONError
from pymongo import MongoClient
from pymongo.errors import PyMongoError
from pymongo.uri_parser import split_options

from meterctl.core.errors import BadInput, MeterctlError, StoreUnreachable
from meterctl.core.ports import Clock, Observation
from meterctl.core.stores.mongo import schema
from meterctl.core.stores.mongo.claims import MongoClaims
from meterctl.core.stores.mongo.clock import MongoClock
from meterctl.core.stores.mongo.database import Document, MongoDatabase
from meterctl.core.stores.mongo.examine import examine
from meterctl.core.stores.mongo.heads import MongoHeads
from meterctl.core.stores.mongo.journal import MongoJournal
from meterctl.core.stores.mongo.locks import MongoLocks
from meterctl.core.stores.mongo.plans import MongoPlans
from meterctl.core.stores.mongo.sharding import shard
from meterctl.core.stores.prefix import PREFIX_OPTION

DEFAULT_DATABASE = "meterctl"
TIMEOUT_SECONDS = 10.0
#: Seconds that `init` may take to build a new index over a large journal.
BUILD_SECONDS = 3600.0

_URI_HINT = (
    "a MongoDB URI is written mongodb://user:password@host:27017/database or mongodb+srv://...; characters such as "
    "@ : / in user or password are written %40 %3A %2F"
)


class MongoStore:
    """The store in the database ``database_name``.

    Every call but `init` ends within ``timeout_seconds``. Messages name the store ``place``, without any secret.
    """

    def __init__(
        self,
        client: MongoClient[Document],
        database_name: str,
        *,
        place: str = "mongodb",
        timeout_seconds: float = TIMEOUT_SECONDS,
        prefix: str = "",
    ) -> None:
        self._database = MongoDatabase(client, database_name, place, timeout_seconds, prefix)
        self.journal = MongoJournal(self._database)
        self.heads = MongoHeads(self._database)
        self.claims = MongoClaims(self._database)
        self.plans = MongoPlans(self._database)
        self.locks = MongoLocks(self._database)
        self.clock = MongoClock(self._database)

    def together(self) -> AbstractContextManager[object]:
        # A transaction would cost another round trip, only to protect heads, which can be rebuilt.
        return nullcontext()

    def require_ours(self) -> None:
        with self._database.answered():
            pass  # entering it compares the collections

    def init(self) -> list[str]:
        with self._database.answered():
            self._database.journal.index_information()  # fail fast if no server answers
        with self._database.answered(BUILD_SECONDS):
            lines = [*self._database.complete(), *shard(self._database)]
        uses = {"role": "for the user that books", "reader_role": "for a user that only reads"}
        return [*lines, *(f"{use}: {self._database.in_shell(self.roles()[name])}" for name, use in uses.items())]

    def roles(self) -> dict[str, dict[str, Any]]:
        return schema.least_roles(self._database.name, self._database.prefix)

    def examine(self, clock: Clock) -> list[Observation]:
        return examine(self._database, clock)

    def damage(self) -> list[str] | None:
        return None  # the server checks its own pages as it reads them

    def describe(self) -> str:
        return self._database.place

    def close(self) -> None:
        self._database.client.close()


def connect(uri: str, *, timeout_seconds: float = TIMEOUT_SECONDS, prefix: str = "") -> MongoStore:
    """Return the store at ``uri``, in the database it names, else in ``meterctl``.

    A shorter ``timeoutMS`` in the URI wins. ``prefix`` begins the names of the collections. Does not wait for the
    server. Raises `BadInput` for an invalid URI, `StoreUnreachable` if its servers cannot be looked up.
    """
    milliseconds = round(timeout_seconds * 1000)
    _check_options(uri)
    try:
        client: MongoClient[Document] = MongoClient(
            uri,
            appname="meterctl",
            retryWrites=True,
            retryReads=True,
            serverSelectionTimeoutMS=milliseconds,
            connectTimeoutMS=milliseconds,
            socketTimeoutMS=milliseconds,
            waitQueueTimeoutMS=milliseconds,
        )
        name = client.get_default_database(DEFAULT_DATABASE).name
        # The operator asks for a shorter wait by `timeoutMS` in the URI.
        timeout_seconds = min(timeout_seconds, client.options.timeout or timeout_seconds)
    except (PyMongoError, BSONError, ValueError, TypeError) as error:
        raise _unusable_uri(uri, error) from None
    place = _place(uri, name) + (f"?{PREFIX_OPTION}={prefix}" if prefix else "")
    return MongoStore(client, name, place=place, timeout_seconds=timeout_seconds, prefix=prefix)


def _check_options(uri: str) -> None:
    """Raise `BadInput` for an option that the driver would ignore, such as a mistyped ``tls``."""
    options = uri.partition("?")[2]
    if "@" in options:  # part of a password, as it seems: the driver refuses it
        return
    for option in filter(None, re.split("[&;]", options)):
        try:
            split_options(option, validate=True, warn=False)
        except (PyMongoError, ValueError, OSError):  # its message may quote the value, which may be a secret
            name = option.partition("=")[0]
            raise BadInput(
                f"the MongoDB URI's option {name!r} is unknown, or its value is wrong",
                hint="correct or remove it, for the driver would leave it out",
                code="bad_store",
            ) from None


def same_database(uri: str, other: str) -> bool:
    """Return True if both URIs name the same database and share a server.

    Compares texts only, without DNS: a mongodb+srv name equals only itself.
    """
    same_name = _database_of(uri) == _database_of(other)
    return same_name and not _servers(uri).isdisjoint(_servers(other))


def _servers(uri: str) -> set[str]:
    scheme, hosts, _ = _parts(uri)
    if scheme != "mongodb":
        return {f"{scheme}://{hosts.lower()}"}
    return {_with_port(unquote(host).lower()) for host in hosts.split(",")}


def _with_port(host: str) -> str:
    # The colons of an IPv6 address are inside of brackets.
    return host if ":" in host.rpartition("]")[2] or host.endswith(".sock") else f"{host}:27017"


def _database_of(uri: str) -> str:
    _, _, path = _parts(uri)
    return unquote(path.partition(".")[0]) or DEFAULT_DATABASE  # a dot separates a collection


def _parts(uri: str) -> tuple[str, str, str]:
    """Return scheme, hosts and path of a valid URI; user, password and options are omitted as secrets."""
    scheme, _, rest = uri.partition("://")
    hosts, _, path = rest.partition("?")[0].rpartition("@")[2].partition("/")
    return scheme, hosts, path


def _place(uri: str, database: str) -> str:
    """Return the target of a valid URI, without any secret."""
    scheme, hosts, _ = _parts(uri)
    return f"{scheme}://{hosts}/{database}"


def _unusable_uri(uri: str, error: Exception) -> MeterctlError:
    # The driver's message quotes parts of the URI, which may include the password.
    detail = "" if "@" in uri else f": {error}"
    if type(error.__context__).__module__.startswith("dns."):
        return StoreUnreachable(f"the servers of the MongoDB URI cannot be looked up{detail}")
    return BadInput(f"the MongoDB URI cannot be used{detail}", hint=_URI_HINT)
