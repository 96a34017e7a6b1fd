"""What the doctor saw."""

from collections.abc import Iterable

from meterctl.core.ports import Observation
from meterctl.core.verify.doctor import Diagnosis
from meterctl.views import words
from meterctl.views.blocks import Block, Column, Grid, Heading, Row, Said, in_row
from meterctl.views.registry import view

_SIGNS = {True: Said("✓", "good"), False: Said("✗", "bad"), None: Said("○", "warn")}


@view("doctor")
def show_diagnosis(diagnosis: Diagnosis) -> Iterable[Block]:
    wrong = sum(check.ok is False for check in diagnosis.checks)
    said = Said(f"✗ {words.plural(wrong, 'finding')}", "bad") if wrong else Said("✓ nothing is wrong", "good")
    yield Heading(in_row(Said(diagnosis.store, "strong"), said))
    columns = [Column(""), Column("check", least=8), Column("found", least=20), Column("what to do", least=16)]
    yield Grid(columns, [_row(check) for check in diagnosis.checks])


def _row(check: Observation) -> Row:
    return Row([_SIGNS[check.ok], check.name, check.found, Said(check.fix or "", "" if check.ok is False else "dim")])
