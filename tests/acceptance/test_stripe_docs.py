"""docs/stripe.md: its commands, run as they stand, say what it shows. To write them anew: METERCTL_WRITE_DOCS=1."""

import os
import re
from pathlib import Path

import pytest

from tests.acceptance.shell import Shell, without_clock
from tests.stripe_server import KEY, StandIn, seconds, serving

PAGE = Path(__file__).parents[2] / "docs" / "stripe.md"
BLOCK = re.compile(r"<!-- play -->\n```console\n(.*?)```\n", re.DOTALL)
CONFIG = '[packs.small]\nunits = 1000\nprice_cents = 500\ncurrency = "usd"\nexpiry_days = 90\n'


def told(account: StandIn) -> str:
    """What happens before the page begins; the session that is booked to the wrong org."""
    at = seconds("2026-11-20T10:00:00Z")
    account.refund(account.sell("acme", at=at), 100, at=at + 3600)
    wrong = account.sell("beta", at=at + 7200)
    account.sell("corp", cents=400, discount=100, at=at + 9000)
    return wrong


def play(run: Shell, block: str) -> str:
    """A block of commands with what they answer now."""
    shown = []
    for line in re.findall(r"^\$ meterctl (.*)$", block, re.MULTILINE):
        answer = run(line)
        text = re.sub(r"took +[0-9.]+ m?s", "took            0.1 s", without_clock(answer.err + answer.out))
        shown.append(f"$ meterctl {line}\n{text}")
    return "".join(shown)


def test_the_page_shows_what_happens(run: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    account = StandIn()
    wrong = told(account)
    for name, value in {"STRIPE_API_KEY": KEY, "METERCTL_NOW": "2026-11-22T10:00:00Z", "COLUMNS": "100"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("METERCTL_ACTOR", "mia")
    run.config(CONFIG)
    page = PAGE.read_text(encoding="utf-8")
    with serving(account) as base:
        monkeypatch.setenv("STRIPE_API_BASE", base)
        run.all(f"credit-pack wrong small --session {wrong}")

        def replayed(found: re.Match[str]) -> str:
            return f"<!-- play -->\n```console\n{play(run, found[1])}```\n"

        now = BLOCK.sub(replayed, page)
    if os.environ.get("METERCTL_WRITE_DOCS"):
        PAGE.write_text(now, encoding="utf-8")
    assert now == page
    assert len(BLOCK.findall(page)) == 5
