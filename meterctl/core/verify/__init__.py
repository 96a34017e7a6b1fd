"""Verify: prove that journals follow the rules, from a store or from an exported file alone.

`verify_org` and `verify_all` check a store, `verify_file` an export; docs/format.md lists the checks by number and
describes the canonical form. A seal (`SealWriter.add` as ``on_tip``, `read_seal`) records the last entry of each
journal, so that a later run can prove that none was cut off. `repair_heads` rebuilds the cache of tips; nothing else
here writes.
"""

from meterctl.core.verify.checks import Check
from meterctl.core.verify.export_check import verify_file
from meterctl.core.verify.journal_check import JournalCheck, Sealed
from meterctl.core.verify.report import Checked, OnTip, Progress
from meterctl.core.verify.seal import LONGEST_SEAL_LINE, SEAL, Seal, SealWriter, read_seal
from meterctl.core.verify.second_look import latest_at
from meterctl.core.verify.store_check import (
    Checker,
    Repair,
    StorePart,
    check_part,
    repair_heads,
    verify_all,
    verify_org,
)

__all__ = [
    "LONGEST_SEAL_LINE",
    "SEAL",
    "Check",
    "Checked",
    "Checker",
    "JournalCheck",
    "OnTip",
    "Progress",
    "Repair",
    "Seal",
    "SealWriter",
    "Sealed",
    "StorePart",
    "check_part",
    "latest_at",
    "read_seal",
    "repair_heads",
    "verify_all",
    "verify_file",
    "verify_org",
]
