"""Open the store that a URL names."""

import os
import re
from typing import TYPE_CHECKING

from meterctl.core.errors import BadInput
from meterctl.core.stores.prefix import PREFIX, PREFIX_OPTION, split_prefix

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
    shown = "***" if "@" in options else place.rpartition("@")[2]
    prefixes = re.findall(rf"(?:^|&){PREFIX_OPTION}=({PREFIX.pattern})(?=&|$)", options, re.IGNORECASE)
    return f"{scheme}{slashes}{shown}" + (f"?{PREFIX_OPTION}={prefixes[-1]}" if prefixes else "")


def same_place(url: str, other: str) -> bool:
    """Whether two URLs name the same store, however they are written."""
    if url.startswith("sqlite:") and other.startswith("sqlite:"):
        return os.path.realpath(url.removeprefix("sqlite:")) == os.path.realpath(other.removeprefix("sqlite:"))
    if url.startswith("mongodb") and other.startswith("mongodb"):
        from meterctl.core.stores.mongo import same_database

        (uri, prefix), (another, its_prefix) = split_prefix(url), split_prefix(other)
        return prefix == its_prefix and same_database(uri, another)
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

        uri, prefix = split_prefix(url)
        return connect(uri, prefix=prefix)
    scheme, colon, _ = url.partition(":")
    raise BadInput(
        f"{scheme!r} is not a kind of store"
        if colon and "@" not in scheme
        else "the store's URL names no kind of store",
        hint="a store is sqlite:PATH, mongodb://... or mongodb+srv://...",
        code="bad_store",
    )
