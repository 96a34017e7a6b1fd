"""The prefix of a MongoDB store's collections, and its option in a URL."""

from meterctl.core.domain.pattern import lazy_pattern
from meterctl.core.errors import BadInput

#: The option of a MongoDB URI that gives meterctl's collections other names.
PREFIX_OPTION = "meterctlPrefix"

PREFIX = lazy_pattern(r"(?!system)[A-Za-z_][A-Za-z0-9_.-]{0,39}")


def split_prefix(uri: str) -> tuple[str, str]:
    """Return a MongoDB URI without our option, for the driver, and the prefix of the collections."""
    place, mark, options = uri.partition("?")
    pairs = options.split("&") if mark else []
    ours = [pair for pair in pairs if pair.partition("=")[0].lower() == PREFIX_OPTION.lower()]
    if not ours:
        return uri, ""
    prefix = ours[-1].partition("=")[2]
    if PREFIX.fullmatch(prefix) is None:
        rule = "1-40 letters, digits or any of _ . -, begins with a letter or _, and not with system"
        raise BadInput(
            f"{PREFIX_OPTION}={prefix!r} is not a valid prefix", hint=f"a prefix is {rule}", code="bad_store"
        )
    others = "&".join(pair for pair in pairs if pair not in ours)
    return f"{place}{'?' if others else ''}{others}", prefix


def with_prefix(url: str, prefix: str | None) -> str:
    """Return a store's URL with the prefix of a profile, unless the URL has one or names a file."""
    if not prefix or not url.startswith("mongodb") or split_prefix(url)[1]:
        return url
    place, mark, options = url.partition("?")
    path = place if "/" in place.partition("://")[2] else f"{place}/"
    return f"{path}?{options}{'&' if mark and options else ''}{PREFIX_OPTION}={prefix}"
