"""The plan versions on MongoDB: ``_id`` is made of plan and version, so a version is published once."""

from pymongo.errors import DuplicateKeyError

from meterctl.core.model import PlanVersion
from meterctl.core.stores.mongo.database import Database


class MongoPlans:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._plans = database.plans

    def add(self, version: PlanVersion) -> bool:
        document = {"_id": f"{version.plan}/{version.version}", **version._asdict(), "ratios": dict(version.ratios)}
        with self._database.answered():
            try:
                self._plans.insert_one(document)
            except DuplicateKeyError:
                return False
        return True

    def all(self) -> list[PlanVersion]:
        with self._database.answered():
            found = self._plans.find({}, {"_id": 0}).sort([("plan", 1), ("version", 1)])
            return [PlanVersion(**document) for document in found]
