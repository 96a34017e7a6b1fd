"""Show the findings of the doctor."""

from collections.abc import Iterable

from meterctl.core.ports import Observation
from meterctl.core.verify.doctor import Diagnosis
from meterctl.views import words
from meterctl.views.blocks import Block, Column, Grid, Heading, Row, Styled, inline
from meterctl.views.registry import view

_SIGNS = {True: Styled("✓", "good"), False: Styled("✗", "bad"), None: Styled("○", "warn")}


@view("doctor")
def show_diagnosis(diagnosis: Diagnosis) -> Iterable[Block]:
    wrong = sum(check.ok is False for check in diagnosis.checks)
    outcome = Styled(f"✗ {words.plural(wrong, 'finding')}", "bad") if wrong else Styled("✓ nothing is wrong", "good")
    yield Heading(inline(Styled(diagnosis.store, "strong"), outcome))
    columns = [Column(""), Column("check", least=8), Column("finding", least=20), Column("next step", least=16)]
    yield Grid(columns, [_row(check) for check in diagnosis.checks])


def _row(check: Observation) -> Row:
    finding = check.found if check.code is None else f"[{check.code}] {check.found}"
    return Row([_SIGNS[check.ok], check.name, finding, Styled(check.fix or "", "" if check.ok is False else "dim")])
