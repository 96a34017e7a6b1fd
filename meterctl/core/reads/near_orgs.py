"""Finding the org that somebody meant, by a bounded look at the heads."""

from itertools import islice

from meterctl.core.ports import Heads

#: Heads that are looked at from each place: among those that begin alike, with the same letter, and at all.
_LOOKS = 400

#: How like two ids must be, from 0 to 1.
_LIKENESS = 0.7


def nearest_org(heads: Heads, org: str) -> str | None:
    """Return the known org whose id is most like ``org``, case aside; None if none of those looked at is."""
    from difflib import get_close_matches  # only whoever mistypes an id needs it

    starts = dict.fromkeys([org[: len(org) // 2], org[:1], org[: len(org) // 2].lower(), ""])
    heads_seen = (head for start in starts for head in islice(heads.read(after=start), _LOOKS))
    names = {head.org for head in heads_seen if head.org is not None} - {org}
    by_form = {name.casefold(): name for name in sorted(names)}
    near = get_close_matches(org.casefold(), by_form, n=1, cutoff=_LIKENESS)
    return by_form[near[0]] if near else None
