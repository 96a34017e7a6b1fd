"""Open the store that a URL names."""

import os
import re
from typing import TYPE_CHECKING

from meterctl.core.errors import BadInput
from meterctl.core.stores.prefix import PREFIX, PREFIX_OPTION, split_prefix

if TYPE_CHECKING:
    from meterctl.core.ports import Store


def without_secret(url: str) -> str:
    """Return a store's URL without user, password and options, for display."""
    if url.startswith("sqlite:"):
        return url
    # The URI may be malformed, so omit every part that may belong to a password.
    scheme, slashes, rest = url.partition("://")
    if not scheme.replace("+", "").isalnum() or not slashes:
        scheme, slashes, rest = "", "", url
    place, _, options = rest.partition("?")
    shown = "***" if "@" in options else place.rpartition("@")[2]
    prefixes = re.findall(rf"(?:^|&){PREFIX_OPTION}=({PREFIX.pattern})(?=&|$)", options, re.IGNORECASE)
    return f"{scheme}{slashes}{shown}" + (f"?{PREFIX_OPTION}={prefixes[-1]}" if prefixes else "")


def sqlite_path(url: str) -> str:
    """Return the path of the embedded store at ``url``. A leading ``~`` is a home directory, as a shell has it.

    No shell expands it in ``sqlite:~/credits.db``, nor in a config file. Raises `BadInput` if the URL names no file,
    or has options: they would become its name.
    """
    # pathlib would write the path in another way, and raise where no home is known
    path = os.path.expanduser(url.removeprefix("sqlite:"))  # noqa: PTH111
    if not path:
        raise BadInput("the store's URL has no path", hint="write the embedded store as sqlite:PATH", code="bad_store")
    if path == ":memory:":
        hint = "name a file, such as sqlite:rehearsal.db"
        raise BadInput("an embedded store is a file, not memory", hint=hint, code="bad_store")
    if re.search(r"\?\w+=", path) and not os.path.exists(path):  # noqa: PTH110 - as the path is written
        file, _, options = path.partition("?")
        hint = f"name the file alone: sqlite:{file}"
        raise BadInput(f"an embedded store takes no options: {options!r}", hint=hint, code="bad_store")
    return path


def same_place(url: str, other: str) -> bool:
    """Return True if two URLs name the same store, even if they are written differently."""
    if url.startswith("sqlite:") and other.startswith("sqlite:"):
        return os.path.realpath(sqlite_path(url)) == os.path.realpath(sqlite_path(other))
    if url.startswith("mongodb") and other.startswith("mongodb"):
        from meterctl.core.stores.mongo import same_database

        (uri, prefix), (another, its_prefix) = split_prefix(url), split_prefix(other)
        return prefix == its_prefix and same_database(uri, another)
    return url == other


def open_store(url: str, *, only_look: bool = False, timeout_seconds: float | None = None) -> "Store":
    """Return the store that ``url`` names. Raises `BadInput` for any other URL.

    With ``only_look`` opening creates and changes nothing; on MongoDB it never does. ``timeout_seconds`` replaces the
    usual wait for one answer.
    """
    patience = {} if timeout_seconds is None else {"timeout_seconds": timeout_seconds}
    if url.startswith("sqlite:"):
        from meterctl.core.stores.sqlite import SqliteStore

        return SqliteStore(sqlite_path(url), only_look=only_look, **patience)
    if url.startswith(("mongodb://", "mongodb+srv://")):
        from meterctl.core.stores.mongo import connect

        uri, prefix = split_prefix(url)
        return connect(uri, prefix=prefix, **patience)
    scheme, colon, _ = url.partition(":")
    raise BadInput(
        f"{scheme!r} is not a kind of store"
        if colon and "@" not in scheme
        else "the store's URL does not begin with a kind of store",
        hint="a store is sqlite:PATH, mongodb://... or mongodb+srv://...",
        code="bad_store",
    )
