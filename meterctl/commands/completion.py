"""Words that a shell may offer for what is being typed."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import islice

import typer

from meterctl.commands.command import contexts_above, options_said
from meterctl.core.errors import MeterctlError, sound
from meterctl.options import FORMATS
from meterctl.wiring import Wiring

#: Orgs that a shell is offered at most.
MOST_ORGS = 200


def complete_packs(context: typer.Context, begun: str) -> list[str]:
    """The packs of the config."""
    return _offered(context, begun, lambda wiring: wiring.settings.terms.packs)


def complete_plans(context: typer.Context, begun: str) -> list[str]:
    """The plans of the config and the published ones."""
    return _offered(
        context, begun, lambda w: {*w.settings.plans, *(version.plan for version in sound(w.store.plans.all()))}
    )


def complete_orgs(context: typer.Context, begun: str) -> list[str]:
    """Return the first orgs that begin so, from the cached heads."""
    return _offered(context, begun, lambda wiring: _orgs(wiring, begun))


def _orgs(wiring: Wiring, begun: str) -> Iterator[str]:
    for head in islice(sound(wiring.store.heads.read(after=_just_before(begun))), MOST_ORGS):
        if not head.org.startswith(begun):
            return
        yield head.org


def _just_before(text: str) -> str:
    """Return a text that sorts before ``text`` and all that begins with it, and behind all other ids before it."""
    return text[:-1] + chr(ord(text[-1]) - 1) + "\x7f" if text else ""


def complete_profiles(context: typer.Context, begun: str) -> list[str]:
    """Return the profiles of the config."""
    return _offered(context, begun, lambda wiring: wiring.settings.profiles)


def complete_kinds(_: typer.Context, begun: str) -> list[str]:
    """Return the kinds of entries."""
    from meterctl.core.model import KINDS

    return _begun(KINDS, begun)


def complete_sorts(_: typer.Context, begun: str) -> list[str]:
    """Return the fields that `orgs` sorts by."""
    from meterctl.core.reads.org_list import SORTS

    return _begun(SORTS, begun)


def complete_groupings(_: typer.Context, begun: str) -> list[str]:
    """Return the groupings of `report`."""
    from meterctl.core.reads.report import GROUPINGS

    return _begun(GROUPINGS, begun)


def complete_schemas(_: typer.Context, begun: str) -> list[str]:
    """Return the documents that have a schema."""
    from meterctl.schemas import DOCUMENTS

    return _begun(DOCUMENTS, begun)


def complete_formats(context: typer.Context, begun: str) -> list[str]:
    """Return the output formats, those of the command alone included."""
    more = {"statement": ("html", "hledger"), "report": ("html",), "explain": ("html",)}
    return _begun((*FORMATS, *more.get(context.info_name or "", ())), begun)


def _begun(words: Iterable[str], begun: str) -> list[str]:
    return sorted(word for word in words if word.startswith(begun))


def _offered(context: typer.Context, begun: str, words: Callable[[Wiring], Iterable[str]]) -> list[str]:
    """Those of ``words`` that start as ``begun``. A shell that asks in vain is no place for an error."""
    said = [context.params, *(above.params for above in contexts_above(context))]
    try:
        with closing(Wiring(options_said(["store", "config", "profile"], said))) as wiring:
            return sorted(word for word in words(wiring) if word.startswith(begun))
    except MeterctlError:
        return []
