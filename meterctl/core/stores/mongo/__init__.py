"""The ports on MongoDB; the only place that imports pymongo."""

from meterctl.core.stores.mongo.schema import expected_indexes, expected_validator
from meterctl.core.stores.mongo.store import MongoStore, connect, same_database

__all__ = ["MongoStore", "connect", "expected_indexes", "expected_validator", "same_database"]
