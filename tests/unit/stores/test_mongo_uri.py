"""Whether two URIs name the same database, which no server is asked."""

import pytest

from meterctl.core.stores.mongo import same_database

PROD = "mongodb://joe:secret@db1,db2:27018/credits?replicaSet=rs0"


@pytest.mark.parametrize(
    ("uri", "other"),
    [
        (PROD, PROD),
        (PROD, "mongodb://db1:27017/credits"),
        (PROD, "mongodb://ann@DB2:27018,db3/credits?appName=x@db4"),
        ("mongodb://db1", "mongodb://db1/meterctl?tls=true"),
        ("mongodb://[::1]/x", "mongodb://[::1]:27017/x"),
        ("mongodb://%2Ftmp%2Fmongodb-27017.sock/x", "mongodb://%2ftmp%2fmongodb-27017.sock/%78"),
        ("mongodb+srv://joe:x@Books.example/x", "mongodb+srv://books.example/x?w=1"),
    ],
)
def test_the_same(uri: str, other: str) -> None:
    assert same_database(uri, other)
    assert same_database(other, uri)


@pytest.mark.parametrize(
    ("uri", "other"),
    [
        (PROD, "mongodb://db1/other"),
        (PROD, "mongodb://db2/credits"),
        (PROD, "mongodb://db9/credits?appName=x@db1"),
        (PROD, "mongodb://db1"),
        ("mongodb://db1/credits", "mongodb+srv://db1/credits"),
    ],
)
def test_another(uri: str, other: str) -> None:
    assert not same_database(uri, other)
