"""Complete words in a shell."""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING

import typer

from meterctl.commands.command import merge_options
from meterctl.core.errors import MeterctlError, sound
from meterctl.core.stores.url import open_store
from meterctl.options import FORMATS
from meterctl.wiring import Wiring

if TYPE_CHECKING:
    from meterctl.core.model import Entry, Kind
    from meterctl.core.ports import Store

#: Most orgs offered to a shell.
MOST_ORGS = 200

#: The newest entries of an org that are read for their names.
MOST_ENTRIES = 200

#: Seconds that a shell waits for one answer of the store.
PATIENCE = 2.0

#: Characters that no shell reads as anything but themselves.
_TO_QUOTE = re.compile(r"[^\w@%+=:,./-]", re.ASCII)


class _Glance(Wiring):
    """The wiring of a key press: it creates nothing, and a server that is down does not hold the shell up."""

    @cached_property
    def store(self) -> "Store":
        return open_store(self.store_url, only_look=True, timeout_seconds=PATIENCE)


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


def complete_lots(context: typer.Context, prefix: str) -> list[str]:
    """Return the live lots of the org."""
    return _offer(context, prefix, lambda wiring: [str(lot["id"]) for lot in wiring.reads.balance(_org(context)).lots])


def complete_holds(context: typer.Context, prefix: str) -> list[str]:
    """Return the refs of what the org holds now."""
    return _offer(context, prefix, lambda w: [hold.id for hold in w.reads.standing(_org(context), None)[2].holds])


def complete_sessions(context: typer.Context, prefix: str) -> list[str]:
    """Return the newest payments of the org, by every name."""
    return _of_entries(context, prefix, "topup", names=lambda entry: [entry["session"], *entry["names"]])


def complete_runs(context: typer.Context, prefix: str) -> list[str]:
    """Return the newest runs of the org."""
    return _of_entries(context, prefix, "usage", names=lambda entry: [entry["run"]])


def complete_steps(context: typer.Context, prefix: str) -> list[str]:
    """Return the steps booked of the run."""
    run = context.params.get("run")
    return _of_entries(context, prefix, "usage", names=lambda entry: [entry["step"]] if entry["run"] == run else [])


def complete_refs(context: typer.Context, prefix: str) -> list[str]:
    """Return the newest refs of the org that an undo may name."""
    return _of_entries(context, prefix, "debit", "adjustment", names=lambda entry: [entry["input"]["ref"]])


def complete_refunds(context: typer.Context, prefix: str) -> list[str]:
    """Return the newest refunds of the org."""
    return _of_entries(context, prefix, "refund", names=lambda entry: [entry["refund_id"]])


def complete_starts(_: typer.Context, prefix: str) -> list[str]:
    """Return the word for the coming Monday, and some spans."""
    return _matches(["next-week", "7d", "30d"], prefix)


def complete_expiries(_: typer.Context, prefix: str) -> list[str]:
    """Return the word for no expiry, and some spans."""
    return _matches(["never", "30d", "90d"], prefix)


def _org(context: typer.Context) -> str:
    """Return the org on the line so far. Behind an option without its value, arguments are not assigned yet."""
    return str(context.params.get("org") or next(iter(context.args), ""))


def _of_entries(
    context: typer.Context, prefix: str, *kinds: "Kind", names: Callable[["Entry"], Iterable[str]]
) -> list[str]:
    """Return the ``names`` in the newest entries of the org that are of these kinds."""
    from meterctl.core.ports import EntryFilter

    def words(wiring: Wiring) -> set[str]:
        entries = wiring.store.journal.read(_org(context), EntryFilter(kinds=kinds), newest_first=True)
        return {name for entry in islice(entries, MOST_ENTRIES) for name in names(entry)}

    return _offer(context, prefix, words)


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
        with closing(_Glance(merge_options(["store", "config", "profile"], context))) as wiring:
            return [_Word(word) for word in sorted(words(wiring)) if word.startswith(prefix)]
    except MeterctlError:
        return []


class _Word(str):
    """A name from a store or a config, as any shell must see it on a command line.

    Typer compares words with the prefix, then formats them for the shell. Only bash does not quote them itself.
    """

    __slots__ = ()

    def __format__(self, _: str) -> str:
        is_bash = os.environ.get("_METERCTL_COMPLETE") == "complete_bash"
        return _TO_QUOTE.sub(r"\\\g<0>", self) if is_bash else str(self)
