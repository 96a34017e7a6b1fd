"""The plan versions on MongoDB: ``_id`` is made of plan and version, so a version is unique."""

from pymongo.errors import DuplicateKeyError

from meterctl.core.errors import Damaged
from meterctl.core.model import PlanVersion
from meterctl.core.stores.border import damaged_plan, plan_of
from meterctl.core.stores.mongo.database import Document, MongoDatabase


class MongoPlans:
    def __init__(self, database: MongoDatabase) -> None:
        self._database = database
        self._plans = database.plans

    def add(self, version: PlanVersion) -> bool:
        document = {"_id": f"{version.plan}/{version.version}", **version._asdict(), "ratios": dict(version.ratios)}
        self._database.require_plain(self._plans)
        with self._database.answered():
            try:
                self._plans.insert_one(document)
            except DuplicateKeyError:
                return False
        return True

    def all(self) -> list[PlanVersion | Damaged]:
        with self._database.answered():
            return [_version(document) for document in self._plans.find().sort([("plan", 1), ("version", 1)])]


def _version(document: Document) -> PlanVersion | Damaged:
    name = document.pop("_id")
    if name == f"{document.get('plan')}/{document.get('version')}":
        return plan_of(document)
    # The `_id` names the plan. A document of another program names none of ours, so it disables no plan.
    plan = name.rpartition("/")[0] if isinstance(name, str) else ""
    return damaged_plan(
        f"the document {name!r} among the plan versions", "its _id names another plan or version", plan or None
    )
