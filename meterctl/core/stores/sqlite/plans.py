"""The plan versions on SQLite."""

from typing import Any

from meterctl.core.domain.canonical import canonical_text
from meterctl.core.errors import Damaged
from meterctl.core.model import PlanVersion
from meterctl.core.stores.border import parsed, plan_of
from meterctl.core.stores.sqlite.database import SqliteDatabase

_FIELDS = ", ".join(PlanVersion._fields)
_MARKS = ", ".join("?" * len(PlanVersion._fields))
_ADD = f"INSERT INTO plans ({_FIELDS}) VALUES ({_MARKS}) ON CONFLICT DO NOTHING"  # noqa: S608
_ALL = f"SELECT {_FIELDS} FROM plans ORDER BY plan, version"  # noqa: S608


class SqlitePlans:
    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    def add(self, version: PlanVersion) -> bool:
        row = version._replace(ratios=canonical_text(version.ratios))  # type: ignore[arg-type]
        with self._database.writing() as connection:
            return connection.execute(_ADD, row).rowcount == 1

    def all(self) -> list[PlanVersion | Damaged]:
        return [_version(row) for row in self._database.rows(_ALL)]


def _version(row: tuple[Any, ...]) -> PlanVersion | Damaged:
    fields = dict(zip(PlanVersion._fields, row, strict=True))
    return plan_of(fields | {"ratios": parsed(fields["ratios"])})
