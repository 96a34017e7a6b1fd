"""Bounds on one command at the desk: how the org has to stand, and how much may be booked. Pure.

A replay is answered before any of them is looked at.
"""

from typing import NamedTuple

from meterctl.core.domain.checks import check_integer
from meterctl.core.domain.policy import Limits
from meterctl.core.errors import Refusal, name_source
from meterctl.core.model import MAX_UNITS, Entry

#: Kinds of entry that move units by somebody's decision; usage and due events are none.
_DECIDED = frozenset({"topup", "debit", "refund", "adjustment", "reversal"})


class Guard(NamedTuple):
    """Bounds that a request is booked within. ``over_limit`` lifts all limits but the one that needs approval."""

    expect_balance: int | None = None
    expect_seq: int | None = None
    limits: Limits = Limits()
    over_limit: bool = False

    @property
    def expects(self) -> bool:
        """Return True if the org has to stand in one way."""
        return self.expect_balance is not None or self.expect_seq is not None

    def unexpected(self, org: str, seq: int, balance: int) -> Refusal | None:
        """Return a refusal unless the org stands as the caller expects: at this seq, with this balance."""
        for name, expected, actual in (
            ("balance", self.expect_balance, balance),
            ("newest entry", self.expect_seq, seq),
        ):
            if expected is not None and expected != actual:
                return Refusal("not_as_expected", f"the {name} of {org} is {actual:,}, not {expected:,} as expected")
        return None

    def exceeded(self, entry: Entry) -> Refusal | None:
        """Return a refusal if ``entry`` goes beyond a limit."""
        limits = self.limits
        units = max(abs(entry["amount"]), entry.get("units", 0))
        if limits.approval_over and entry["kind"] in _DECIDED and units > limits.approval_over:
            message = f"{units:,} units are more than {limits.approval_over:,}: somebody else has to carry them out"
            return Refusal("needs_approval", message)
        if self.over_limit:
            return None
        return self._over_limit(entry) or self._over_debt_limit(entry)

    def _over_limit(self, entry: Entry) -> Refusal | None:
        amount, limit, unit = self._amount(entry)
        if not limit or amount <= limit:
            return None
        return Refusal("over_limit", f"{amount:,} {unit} are more than the limit of {limit:,} for {entry['kind']}s")

    def _amount(self, entry: Entry) -> tuple[int, int, str]:
        if entry["kind"] == "adjustment":
            return abs(entry["amount"]), self.limits.adjust, "units"
        if entry["kind"] == "debit":
            return abs(entry["amount"]), self.limits.debit, "units"
        if entry["kind"] == "refund":
            return entry["cents"], self.limits.refund_cents, "cents"
        return 0, 0, ""

    def _over_debt_limit(self, entry: Entry) -> Refusal | None:
        owed = entry["state"]["debt"]["owed"]
        makes_debt = entry["kind"] in ("debit", "adjustment") and any(entry.get("debt", {}).values())
        if not self.limits.debt or not makes_debt or owed <= self.limits.debt:
            return None
        message = f"{entry['org']} would owe {owed:,} units, more than the limit of {self.limits.debt:,}"
        return Refusal("over_debt_limit", message)


def read_guard(balance: str | None, seq: str | None, limits: Limits, *, over_limit: bool) -> Guard:
    """Return the bounds that ``--expect-balance`` and ``--expect-seq`` name, with the limits."""
    expected = _read_number("--expect-balance", balance, -MAX_UNITS), _read_number("--expect-seq", seq, 0)
    return Guard(*expected, limits, over_limit)


def _read_number(option: str, text: str | None, least: int) -> int | None:
    if text is None:
        return None
    with name_source(option):
        return check_integer(text, "N", least=least)
