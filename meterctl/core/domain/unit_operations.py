"""Operations on units: packs, debits, refunds, adjustments, undo, and single lots."""

from dataclasses import dataclass
from typing import Any

from meterctl.core.domain.checks import (
    check_currency,
    check_flag,
    check_instant,
    check_integer,
    check_key,
    check_names,
    check_org,
    check_pack,
    check_ref,
)
from meterctl.core.domain.operation import Operation
from meterctl.core.errors import BadInput
from meterctl.core.model import MAX_UNITS, Instant

#: The word in files for units that never expire.
NEVER = "never"


def name_anew(session: str) -> str:
    """Return the name under which the payment of an undone credit is credited anew."""
    name, _, number = session.partition("~")
    return f"{name}~{int(number) + 1 if number.isdecimal() else 2}"


@dataclass(slots=True, eq=False, repr=False)
class CreditPack(Operation):
    """Book a sold pack. ``paid_cents`` (all that was paid, tax included) None: the pack's price; ``currency`` None: the
    pack's own; ``expires_at`` None: as the pack says. ``names`` are further ids of the same payment."""

    name = "credit-pack"

    pack: str
    session: str
    paid_cents: int | None = None
    quantity: int = 1
    tax_cents: int = 0
    names: tuple[str, ...] = ()
    expires_at: Instant | None = None
    currency: str | None = None

    def __post_init__(self) -> None:
        check_org(self.org)
        check_pack(self.pack)
        check_ref(self.session, "a session")
        self.quantity = check_integer(self.quantity, "quantity", least=1)
        self.tax_cents = check_integer(self.tax_cents, "tax_cents", least=0)
        if self.paid_cents is not None:
            self.paid_cents = check_integer(self.paid_cents, "paid_cents", least=0)
            if self.paid_cents < self.tax_cents:
                raise BadInput(
                    f"the tax of {self.tax_cents} cents exceeds the {self.paid_cents} paid",
                    hint="paid_cents is all that was paid, tax included",
                    code="bad_number",
                )
        if self.currency is not None:
            check_currency(self.currency)
        if self.expires_at is not None:
            check_instant(self.expires_at, "expires_at")
        self.names = check_names(self.names, self.session)

    @property
    def key(self) -> str:
        return f"session:{self.session}"

    @property
    def all_names(self) -> tuple[str, ...]:
        """Every name of the payment, the session first."""
        return (self.session, *self.names)

    @property
    def is_anew(self) -> bool:
        """Return True if the session says that the payment is credited anew after an undo: ``cs_1~2``."""
        return "~" in self.session

    def parameters(self) -> dict[str, Any]:
        return {
            "op": self.name,
            "pack": self.pack,
            "session": self.session,
            "paid_cents": self.paid_cents,
            "quantity": self.quantity,
            "tax_cents": self.tax_cents,
            "currency": self.currency,
            "expires_at": self.expires_at,
        }

    def document(self) -> dict[str, Any]:
        return {**self.parameters(), "names": list(self.names) or None}


@dataclass(slots=True, eq=False, repr=False)
class Debit(Operation):
    """Take units. Without enough in the lots, refuse; with ``allow_debt``, owe the rest."""

    name = "debit"

    units: int
    ref: str
    allow_debt: bool = False

    def __post_init__(self) -> None:
        check_org(self.org)
        self.units = check_integer(self.units, "units", least=1)
        check_ref(self.ref)
        self.allow_debt = check_flag(self.allow_debt, "allow_debt")

    @property
    def key(self) -> str:
        return f"debit:{self.ref}"

    def parameters(self) -> dict[str, Any]:
        return {"op": self.name, "units": self.units, "ref": self.ref, "allow_debt": self.allow_debt}


@dataclass(slots=True, eq=False, repr=False)
class Refund(Operation):
    """Claw back the units of ``cents`` that were given back on a session. A dispute is a refund under its own id."""

    name = "refund"

    session: str
    cents: int
    refund_id: str

    def __post_init__(self) -> None:
        check_org(self.org)
        check_ref(self.session, "a session")
        self.cents = check_integer(self.cents, "cents", least=1)
        check_ref(self.refund_id, "a refund_id")

    @property
    def key(self) -> str:
        return f"refund:{self.refund_id}"

    def parameters(self) -> dict[str, Any]:
        return {"op": self.name, "session": self.session, "cents": self.cents, "refund_id": self.refund_id}


@dataclass(slots=True, eq=False, repr=False)
class ReverseRefund(Operation):
    """Give back the units that a refund clawed: it failed, or the dispute was won."""

    name = "reverse-refund"

    refund_id: str

    def __post_init__(self) -> None:
        check_org(self.org)
        check_ref(self.refund_id, "a refund_id")

    @property
    def key(self) -> str:
        return f"refund-reversal:{self.refund_id}"

    def parameters(self) -> dict[str, Any]:
        return {"op": self.name, "refund_id": self.refund_id}


@dataclass(slots=True, eq=False, repr=False)
class Adjust(Operation):
    """A correction or a grant: units may be positive or negative, never 0. Units that are added may expire and have a
    ``priority``; units that are taken may all come from one ``lot``."""

    name = "adjust"
    needs_reason = True

    units: int
    ref: str
    expires_at: Instant | None = None
    allow_debt: bool = False
    priority: int | None = None
    lot: int | None = None

    def __post_init__(self) -> None:
        check_org(self.org)
        self.units = check_integer(self.units, "units", least=-MAX_UNITS)
        if self.units == 0:
            raise BadInput("an adjustment of 0 units changes nothing", hint="units are not 0", code="bad_number")
        check_ref(self.ref)
        self.allow_debt = check_flag(self.allow_debt, "allow_debt")
        if self.expires_at is not None:
            check_instant(self.expires_at, "expires_at")
            if self.units < 0:
                raise BadInput(
                    "only units that are added can expire",
                    hint="leave --expires out (expires_at in a file)",
                    code="bad_expires",
                )
        if self.priority is not None:
            self.priority = check_integer(self.priority, "priority", least=0, most=100)
            if self.units < 0:
                raise BadInput("only units that are added have a priority", hint="leave it out", code="bad_priority")
        if self.lot is not None:
            self.lot = self._check_lot(self.lot)

    def _check_lot(self, value: int) -> int:
        lot = check_integer(value, "lot", least=1)
        if self.units > 0:
            hint = "leave the lot out; a grant opens a lot of its own"
            raise BadInput("only units that are taken come from one lot", hint=hint, code="bad_lot")
        if self.allow_debt:
            hint = "give either a lot or allow_debt"
            raise BadInput("one lot cannot go into debt", hint=hint, code="bad_lot")
        return lot

    @property
    def key(self) -> str:
        return f"adjust:{self.ref}"

    def parameters(self) -> dict[str, Any]:
        document: dict[str, Any] = {
            "op": self.name,
            "units": self.units,
            "ref": self.ref,
            "expires_at": self.expires_at,
            "allow_debt": self.allow_debt,
        }
        if self.priority is not None:
            document["priority"] = self.priority
        if self.lot is not None:
            document["lot"] = self.lot
        return document


@dataclass(slots=True, eq=False, repr=False)
class Undo(Operation):
    """Take back a debit, an adjustment, a topup or a run of the open week. ``of`` is the key of the entry; ``seq`` its
    number: alone it names the entry, beside ``of`` it has to be the same one's."""

    name = "undo"
    needs_reason = True

    seq: int | None = None
    of: str | None = None

    def __post_init__(self) -> None:
        check_org(self.org)
        if self.seq is not None:
            self.seq = check_integer(self.seq, "seq", least=1)
        if self.of is not None:
            check_key(self.of)
        elif self.seq is None:
            hint = "say which entry: of is its key, such as debit:r1"
            raise BadInput("undo lacks of", hint=hint, code="missing_field")

    @property
    def key(self) -> str:
        return "" if self.of is None else f"undo:{self.of}"

    def parameters(self) -> dict[str, Any]:
        return {"op": self.name, "of": self.of}

    def document(self) -> dict[str, Any]:
        return {**self.parameters(), "seq": self.seq}


@dataclass(slots=True, eq=False, repr=False)
class ExtendLot(Operation):
    """Change the expiry of a live lot; None: it never expires."""

    name = "extend-lot"
    needs_reason = True

    lot: int
    expires_at: Instant | None
    ref: str

    def __post_init__(self) -> None:
        check_org(self.org)
        self.lot = check_integer(self.lot, "lot", least=1)
        check_ref(self.ref)
        if self.expires_at is not None:
            check_instant(self.expires_at, "expires_at")

    @property
    def key(self) -> str:
        return f"extend:{self.ref}"

    def parameters(self) -> dict[str, Any]:
        return {"op": self.name, "lot": self.lot, "expires_at": self.expires_at, "ref": self.ref}

    def document(self) -> dict[str, Any]:
        return {**self.parameters(), "expires_at": self.expires_at or NEVER}


@dataclass(slots=True, eq=False, repr=False)
class VoidLot(Operation):
    """Take the rest of one lot."""

    name = "void-lot"
    needs_reason = True

    lot: int
    ref: str

    def __post_init__(self) -> None:
        check_org(self.org)
        self.lot = check_integer(self.lot, "lot", least=1)
        check_ref(self.ref)

    @property
    def key(self) -> str:
        return f"void:{self.ref}"

    def parameters(self) -> dict[str, Any]:
        return {"op": self.name, "lot": self.lot, "ref": self.ref}
