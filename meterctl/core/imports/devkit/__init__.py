"""Data of "devkit", the billing module that this project grew out of: read, replayed, audited, and brought in.

docs/devkit.md describes its storage. Nothing here knows a database: `meterctl.core.stores.mongo.devkit` reads it.
"""
