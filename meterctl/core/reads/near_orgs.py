"""Find the org that a mistyped id probably means, by a bounded look at the heads."""

from itertools import islice

from meterctl.core.ports import Heads

#: Heads that are read from each starting place: the same first half, the same letter, and the very first.
_LOOKS = 400

#: The least similarity of two ids, from 0 to 1.
_LIKENESS = 0.7


def nearest_org(heads: Heads, org: str) -> str | None:
    """Return the known org with the id most like ``org``, case aside; None if none is similar."""
    from difflib import get_close_matches  # only a mistyped id needs it

    starts = dict.fromkeys([org[: len(org) // 2], org[:1], org[: len(org) // 2].lower(), ""])
    heads_seen = (head for start in starts for head in islice(heads.read(after=start), _LOOKS))
    names = {head.org for head in heads_seen if head.org is not None} - {org}
    by_form = {name.casefold(): name for name in sorted(names)}
    near = get_close_matches(org.casefold(), by_form, n=1, cutoff=_LIKENESS)
    return by_form[near[0]] if near else None
