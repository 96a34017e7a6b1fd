"""No output shows a password or a key, whatever is wrong with what holds it."""

import pytest

from tests.acceptance.shell import FORMATS, Shell

#: What must not be shown, in each place of a URL, and in URLs that cannot be read.
WORD = "correct-horse"
URLS = [
    f"mongodb://admin:{WORD}@127.0.0.1:1/books",
    f"mongodb://{WORD}@127.0.0.1:1/books",
    f"mongodb://admin:x{WORD}/y@127.0.0.1:1/books",
    f"mongodb://admin:x?{WORD}@127.0.0.1:1/books",
    f"mongodb://admin:p@{WORD}@127.0.0.1:1/books",
    f"mongodb://admin:{WORD}@[127.0.0.1:1/books",
    f"mongodb://admin:{WORD}@127.0.0.1:port/books",
    f"mongodb://127.0.0.1:1/books?authMechanism=MONGODB-X509&tlsCertificateKeyFilePassword={WORD}",
    f"mongodb://127.0.0.1:1/?tlsCertificateKeyFilePassword=x@{WORD}",
    f"mongodb+srv://admin:{WORD}@no-such-host.invalid/books",
    f"mongodb+srv://admin:{WORD}@127.0.0.1/books",
    f"postgres://admin:{WORD}@127.0.0.1/books",
    f"MONGODB://admin:{WORD}@127.0.0.1/books",
    f"mongodb:/admin:{WORD}@127.0.0.1/books",
    f"mongodb:/admin:{WORD}://x@127.0.0.1/books",
    f"mongodb:/127.0.0.1/books?tlsCertificateKeyFilePassword={WORD}",
    f"mongodb:/127.0.0.1/books?tlsCertificateKeyFilePassword=x@{WORD}",
    f"admin:{WORD}@127.0.0.1/books",
    f"{WORD}@127.0.0.1:27017/books",
]


@pytest.mark.parametrize("url", URLS)
def test_the_config_names_the_store_without_its_secret(run: Shell, url: str) -> None:
    for output in FORMATS:
        answer = run("--store", url, "config", "show", "-o", output)
        assert answer.code == 0
        assert WORD not in answer.out + answer.err


@pytest.mark.parametrize("url", [url for url in URLS if "127.0.0.1:1/" not in url and ".invalid" not in url])
def test_an_error_names_the_store_without_its_secret(run: Shell, url: str) -> None:
    for words in (("balance", "acme"), ("balance", "acme", "--json"), ("init",)):
        answer = run("--store", url, *words)
        assert answer.code in (2, 10), answer
        assert WORD not in answer.out + answer.err


def test_not_even_a_trace_shows_it(run: Shell) -> None:
    run.setenv("METERCTL_DEBUG", "1")
    run.setenv("METERCTL_STORE", URLS[5])
    answer = run("balance acme")
    assert answer.code == 2
    assert WORD not in answer.out + answer.err


def test_where_a_store_is_can_still_be_read(run: Shell) -> None:
    assert run.doc("--store", URLS[0], "config", "show")["store"] == "mongodb://127.0.0.1:1/books"
    assert run.doc("--store", URLS[13], "config", "show")["store"] == "127.0.0.1/books"
    assert run.doc("config show")["store"] == run.store
    assert run.doc("--store", "sqlite:a@b?.db", "config", "show")["store"] == "sqlite:a@b?.db"


@pytest.mark.parametrize("line", ["config show", "balance acme", "debit acme 1e3 --ref r1", "init", "orgs"])
def test_a_key_for_stripe_is_never_printed(run: Shell, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIPE_API_KEY", f"rk_test_{WORD}")
    monkeypatch.setenv("STRIPE_WEBHOOK_SECRET", f"whsec_{WORD}")
    for output in FORMATS:
        answer = run(f"{line} -o {output}")
        assert WORD not in answer.out + answer.err
