"""``meterctl demo``"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from meterctl.commands.command import command, new_app
from meterctl.core.errors import DONE, MeterctlError
from meterctl.wiring import Wiring

app = new_app()

CONFIG = """\
default_plan = "free"
[packs.small]
units = 1000
price_cents = 500
currency = "usd"
expiry_days = 21
[plans.free]
weekly_quota = 100
[plans.pro]
weekly_quota = 500
ratios = { default = "1", llm = "1.25" }
"""


STEP_SECONDS = 60

#: The story, in acts of two lines: when it happens and what is told; the command that does it.
_STORY = """\
2026-11-02T09:00Z The config names packs and plans; publishing puts a plan in force.
    plan publish --from-config
2026-11-02T09:05Z acme goes on the plan pro: 500 units a week.
    plan assign acme pro --ref signup-1
2026-11-02T09:10Z It buys a pack of 1,000 units, which expire after 21 days.
    credit-pack acme small --session cs_1001
2026-11-02T09:10Z The payment's webhook comes a second time. Nothing is booked twice.
    credit-pack acme small --session cs_1001
2026-11-03T10:00Z A run costs $0.336; on pro a dollar of llm is 1,250 units. That crosses 80 % of the quota.
    meter attribute acme run-1 --cost llm=0.336
2026-11-05T16:00Z The next run goes beyond the quota: the overflow is drawn from the pack.
    meter attribute acme run-2 --cost llm=0.2 --cost search=0.05
2026-11-05T16:01Z The thresholds crossed on the way, once each.
    meter alerts acme
2026-11-05T16:02Z May it go on running?
    meter show acme
2026-11-06T08:00Z Half the pack's price is given back: half its units are clawed.
    refund acme --session cs_1001 --cents 250 --refund-id re_1
2026-11-10T09:00Z A second pack, a week later.
    credit-pack acme small --session cs_1002
2026-11-24T00:05Z Cron sweeps: what is left of the first pack has expired.
    expire --all
2026-11-24T00:06Z What the org holds now.
    balance acme
2026-11-24T00:07Z The week that was closed.
    meter history acme
2026-11-24T00:08Z Every unit that moved, and the balance after it.
    ledger acme
2026-11-24T00:09Z And the proof that it all adds up.
    verify acme
"""


@command(app)
def demo(wiring: Wiring) -> None:
    """Run the whole story on a throw-away store. Books nothing in yours.

    Plan, pack, usage, overflow, thresholds, refund, expiry, week close.

    \b
    Example:
      meterctl demo
    """
    with TemporaryDirectory(prefix="meterctl-demo-") as place:
        config = Path(place, "meterctl.toml")
        config.write_text(CONFIG, encoding="utf-8")
        # Nothing of the caller's settings is part of the story: of a profile, say, that its config does not have.
        environment = {name: value for name, value in wiring.environ.items() if not name.startswith("METERCTL_")}
        environment["METERCTL_ACTOR"] = "demo"
        shared = ["--store", f"sqlite:{place}/demo.db", "--config", str(config), "-o", wiring.output]
        for act in acts():
            _play(act, shared, wiring.output, environment)


class Act(NamedTuple):
    """A part of the story: when it happens, what is told of it, and the command line that does it."""

    now: str
    told: str
    line: str


def acts() -> Iterator[Act]:
    lines = _STORY.splitlines()
    for told, line in zip(lines[::2], lines[1::2], strict=True):
        now, _, text = told.partition(" ")
        yield Act(now, text, line.strip())


def _play(act: Act, shared: list[str], output: str, environment: dict[str, str]) -> None:
    # For scripts, standard output holds nothing but documents.
    talk = sys.stdout if output in ("table", "markdown", "plain") else sys.stderr
    talk.write(f"\n# {act.now}  {act.told}\n$ meterctl {act.line}\n")
    talk.flush()
    # A process of its own, as the reader would run it; but without a terminal, so that it asks nothing.
    played = subprocess.run(  # noqa: S603 - our own program, our own words
        [sys.executable, "-m", "meterctl", *shared, "--now", act.now, *act.line.split()],
        stdin=subprocess.DEVNULL,
        env=environment,
        timeout=STEP_SECONDS,
        check=False,
    )
    if played.returncode != DONE:
        raise MeterctlError(f"the step {act.line!r} ended with exit code {played.returncode}", code="demo_failed")
