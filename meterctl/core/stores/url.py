"""Open the store that a URL names."""

import os
from typing import TYPE_CHECKING

from meterctl.core.errors import BadInput

if TYPE_CHECKING:
    from meterctl.core.ports import Store


def without_secret(url: str) -> str:
    """A store's URL as it may be shown."""
    if url.startswith("sqlite:"):
        return url
    # A URI that nobody has checked yet: what may belong to a password is left out, however badly it is written.
    scheme, slashes, rest = url.partition("://")
    if not scheme.replace("+", "").isalnum() or not slashes:
        scheme, slashes, rest = "", "", url
    place, _, options = rest.partition("?")
    return f"{scheme}{slashes}{'***' if '@' in options else place.rpartition('@')[2]}"


def same_place(url: str, other: str) -> bool:
    """Whether two URLs name the same store, however they are written."""
    if url.startswith("sqlite:") and other.startswith("sqlite:"):
        return os.path.realpath(url.removeprefix("sqlite:")) == os.path.realpath(other.removeprefix("sqlite:"))
    if url.startswith("mongodb") and other.startswith("mongodb"):
        from meterctl.core.stores.mongo import same_database

        return same_database(url, other)
    return url == other


def open_store(url: str, *, only_look: bool = False) -> "Store":
    """The store that ``url`` names. Raises `BadInput` for a URL that names none. With ``only_look`` opening it
    makes and changes nothing; on MongoDB that never does."""
    if url == "sqlite:":
        raise BadInput("the store's URL names no file", hint="the embedded store is sqlite:PATH", code="bad_store")
    if url.startswith("sqlite:"):
        from meterctl.core.stores.sqlite import SqliteStore

        return SqliteStore(url.removeprefix("sqlite:"), only_look=only_look)
    if url.startswith(("mongodb://", "mongodb+srv://")):
        from meterctl.core.stores.mongo import connect

        return connect(url)
    scheme, colon, _ = url.partition(":")
    raise BadInput(
        f"{scheme!r} is not a kind of store"
        if colon and "@" not in scheme
        else "the store's URL names no kind of store",
        hint="a store is sqlite:PATH, mongodb://... or mongodb+srv://...",
        code="bad_store",
    )
