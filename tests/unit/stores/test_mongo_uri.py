"""Whether two URIs name the same database, which no server is asked."""

import pytest

from meterctl.core.errors import BadInput
from meterctl.core.stores.mongo import connect, same_database
from meterctl.core.stores.prefix import split_prefix, with_prefix

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


@pytest.mark.parametrize(
    "option", ["tsl=true", "tls=maybe", "replicset=rs0", "maxPoolSize=x", "socketTimeoutMS=-1", "w"]
)
def test_an_option_that_the_driver_would_ignore_is_refused(option: str) -> None:
    """Without the mistyped option it would connect all the same, without TLS for example."""
    with pytest.raises(BadInput) as refused:
        connect(f"mongodb://root:geheim@localhost/x?retryWrites=true&{option}&tlsCertificateKeyFilePassword=geheim")
    name = option.partition("=")[0]
    assert (refused.value.code, repr(name) in refused.value.message) == ("bad_store", True)
    assert "geheim" not in refused.value.message + refused.value.hint


@pytest.mark.parametrize(
    ("url", "prefix", "whole"),
    [
        ("mongodb://db/credits", "m_", "mongodb://db/credits?meterctlPrefix=m_"),
        ("mongodb://db", "m_", "mongodb://db/?meterctlPrefix=m_"),
        ("mongodb://db/credits?w=1", "m_", "mongodb://db/credits?w=1&meterctlPrefix=m_"),
        ("mongodb://db/credits?", "m_", "mongodb://db/credits?meterctlPrefix=m_"),
        ("mongodb://db/credits?meterctlprefix=own_", "m_", "mongodb://db/credits?meterctlprefix=own_"),
        ("mongodb://db/credits", "", "mongodb://db/credits"),
        ("mongodb://db/credits", None, "mongodb://db/credits"),
        ("sqlite:credits.db", "m_", "sqlite:credits.db"),
    ],
)
def test_a_profiles_prefix_is_that_of_a_url_without_one(url: str, prefix: str | None, whole: str) -> None:
    assert with_prefix(url, prefix) == whole


@pytest.mark.parametrize(
    ("uri", "parts"),
    [
        ("mongodb://db/credits?meterctlPrefix=m_", ("mongodb://db/credits", "m_")),
        ("mongodb://db/credits?w=1&METERCTLPREFIX=m_&tls=true", ("mongodb://db/credits?w=1&tls=true", "m_")),
        ("mongodb://db/credits?meterctlPrefix=a&meterctlPrefix=b", ("mongodb://db/credits", "b")),
        ("mongodb://db/credits?w=1", ("mongodb://db/credits?w=1", "")),
    ],
)
def test_the_driver_never_sees_the_prefix(uri: str, parts: tuple[str, str]) -> None:
    assert split_prefix(uri) == parts


@pytest.mark.parametrize("prefix", ["", "1st", "system", "system.x", "a b", "x" * 41, "$"])
def test_a_prefix_that_collections_cannot_have_is_refused(prefix: str) -> None:
    with pytest.raises(BadInput) as caught:
        split_prefix(f"mongodb://db/credits?meterctlPrefix={prefix}")
    assert (caught.value.code, repr(prefix) in caught.value.message) == ("bad_store", True)
