"""``meterctl statement``"""

from meterctl.commands.command import answering, command, new_app
from meterctl.commands.options import Org
from meterctl.commands.period_options import Month, Since, Until, period_of
from meterctl.core.reads.statement import Statement, Statements
from meterctl.wiring import Wiring

app = new_app()


@command(app, formats=("html", "hledger"))
def statement(
    wiring: Wiring, org: Org, month: Month = None, since: Since = None, until: Until = None
) -> Statement | None:
    """Print an org's statement: opening balance, every movement, closing balance, and the money.

    Books nothing. Sums every entry of the window, by kind, week and feature, and fails if the sums do not add up.
    Without options it covers the last calendar month. It includes due events that are not booked yet. -o html prints
    one page, -o hledger a double-entry journal.

    \b
    Examples:
      meterctl statement acme
      meterctl statement acme --month 2026-10 -o html > acme-2026-10.html
      meterctl statement acme --since 2026-01-01 --until 2026-12-31 -o csv
    """
    statements = Statements(wiring.store, wiring.clock, wiring.settings.terms)
    period = period_of(wiring, month, since, until)
    checked = statements.of(org, period)
    if wiring.output != "hledger":
        return checked
    _write_hledger(statements, checked)
    return None


def _write_hledger(statements: Statements, statement: Statement) -> None:
    """Write the entries of ``statement`` as a double-entry journal."""
    import sys

    from meterctl.views.hledger import DoubleEntry

    org, period = statement.org, statement.period
    journal = DoubleEntry(org, period.since, statement.sums.opening, lambda entry: statements.reversed_by(org, entry))
    with answering():
        sys.stdout.writelines(f"{line}\n" for line in journal.lines(statements.entries(org, period)))
