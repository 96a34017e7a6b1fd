"""Complete words in a shell."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import islice

import typer

from meterctl.commands.command import merge_options
from meterctl.core.errors import MeterctlError, sound
from meterctl.options import FORMATS
from meterctl.wiring import Wiring

#: Most orgs offered to a shell.
MOST_ORGS = 200


def complete_packs(context: typer.Context, prefix: str) -> list[str]:
    """Return the packs of the config."""
    return _offer(context, prefix, lambda wiring: wiring.settings.terms.packs)


def complete_plans(context: typer.Context, prefix: str) -> list[str]:
    """Return the plans of the config and the published ones."""
    return _offer(
        context, prefix, lambda w: {*w.settings.plans, *(version.plan for version in sound(w.store.plans.all()))}
    )


def complete_orgs(context: typer.Context, prefix: str) -> list[str]:
    """Return the first orgs with this prefix, from the cached heads."""
    return _offer(context, prefix, lambda wiring: _orgs(wiring, prefix))


def _orgs(wiring: Wiring, prefix: str) -> Iterator[str]:
    for head in islice(sound(wiring.store.heads.read(after=_just_before(prefix))), MOST_ORGS):
        if not head.org.startswith(prefix):
            return
        yield head.org


def _just_before(text: str) -> str:
    """Return the text just before ``text`` in the order of ids."""
    return text[:-1] + chr(ord(text[-1]) - 1) + "\x7f" if text else ""


def complete_profiles(context: typer.Context, prefix: str) -> list[str]:
    """Return the profiles of the config."""
    return _offer(context, prefix, lambda wiring: wiring.settings.profiles)


def complete_kinds(_: typer.Context, prefix: str) -> list[str]:
    """Return the kinds of entries."""
    from meterctl.core.model import KINDS

    return _matches(KINDS, prefix)


def complete_sorts(_: typer.Context, prefix: str) -> list[str]:
    """Return the fields that `orgs` sorts by."""
    from meterctl.core.reads.org_list import SORTS

    return _matches(SORTS, prefix)


def complete_groupings(_: typer.Context, prefix: str) -> list[str]:
    """Return the groupings of `report`."""
    from meterctl.core.reads.report import GROUPINGS

    return _matches(GROUPINGS, prefix)


def complete_schemas(_: typer.Context, prefix: str) -> list[str]:
    """Return the documents that have a schema."""
    from meterctl.schemas import DOCUMENTS

    return _matches(DOCUMENTS, prefix)


def complete_formats(context: typer.Context, prefix: str) -> list[str]:
    """Return the output formats of the command."""
    more = {"statement": ("html", "hledger"), "report": ("html",), "explain": ("html",)}
    return _matches((*FORMATS, *more.get(context.info_name or "", ())), prefix)


def _matches(words: Iterable[str], prefix: str) -> list[str]:
    return sorted(word for word in words if word.startswith(prefix))


def _offer(context: typer.Context, prefix: str, words: Callable[[Wiring], Iterable[str]]) -> list[str]:
    """Return the words with this prefix; none on an error, because a shell cannot show it."""
    try:
        with closing(Wiring(merge_options(["store", "config", "profile"], context))) as wiring:
            return sorted(word for word in words(wiring) if word.startswith(prefix))
    except MeterctlError:
        return []
