"""Find entries by a ref, a run, a payment or a number."""

from meterctl.core.booking.journal_view import OrgView
from meterctl.core.domain.checks import check_org, check_ref, check_step, key_part
from meterctl.core.errors import BadInput
from meterctl.core.ports import Store

#: Prefixes of keys with a ref, among entries that can be undone.
_OF_REF = ("debit", "adjust", "void")

#: Prefixes of other keys with a ref: their undo is refused, with the way out.
_NOT_UNDOABLE = ("extend", "plan", "hold", "reset")


class EntryNames:
    """Finds the keys of an org's entries. Reads only."""

    def __init__(self, store: Store, org: str) -> None:
        self._store = store
        self._org = check_org(org)

    def of_ref(self, ref: str) -> str:
        """Return the key of the debit, adjustment or voided lot under ``ref``; raise `BadInput` for several.

        If there is none, it is the key of another entry under ``ref``, or of a debit that does not exist."""
        keys, others = ([f"{kind}:{check_ref(ref)}" for kind in kinds] for kinds in (_OF_REF, _NOT_UNDOABLE))
        entries = self._store.journal.by_keys([(self._org, key) for key in (*keys, *others)])
        matches = [key for key in keys if (self._org, key) in entries]
        matches = matches or [key for key in others if (self._org, key) in entries][:1]
        if len(matches) > 1:
            message = f"{len(matches)} entries of {self._org} have the ref {ref}: {', '.join(matches)}"
            raise BadInput(message, hint=f"choose one by its key: --of {matches[0]}", code="ambiguous_ref")
        return matches[0] if matches else keys[0]

    def of_run(self, run: str, step: str) -> str:
        return f"run:{key_part(check_ref(run, 'a run'))}:{check_step(step)}"

    def of_session(self, name: str) -> str:
        """Return the key of the pack bought by the payment ``name``."""
        view = OrgView(self._store, self._org, self._store.journal.tip(self._org), exact=True)
        return f"session:{view.session_of(check_ref(name, 'a session')) or name}"

    def of_seq(self, seq: int) -> str | None:
        """Return the key of the entry number ``seq``; None if there is none."""
        entry = self._store.journal.by_seq(self._org, seq)
        return None if entry is None else entry["key"]
