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

#: The story, two lines per act: time and text, then the command.
_STORY = """\
2026-11-02T09:00Z The config names packs and plans; publishing puts a plan in force.
    plan publish --from-config
2026-11-02T09:05Z acme goes on the plan pro: 500 units a week.
    plan assign acme pro --ref signup-1
2026-11-02T09:10Z It buys a pack of 1,000 units, which expire after 21 days.
    credit-pack acme small --session cs_1001
2026-11-02T09:10Z The payment's webhook comes a second time. It books nothing.
    credit-pack acme small --session cs_1001
2026-11-03T10:00Z A run costs $0.336; on pro a dollar of llm is 1,250 units. That crosses 80 % of the quota.
    meter attribute acme run-1 --cost llm=0.336
2026-11-05T16:00Z The next run goes beyond the quota: the overflow is drawn from the pack.
    meter attribute acme run-2 --cost llm=0.2 --cost search=0.05
2026-11-05T16:01Z The thresholds crossed on the way, once each.
    meter alerts acme
2026-11-05T16:02Z Check if acme may run more.
    meter show acme
2026-11-06T08:00Z Half the price is refunded: half the units are clawed back.
    refund acme --session cs_1001 --cents 250 --refund-id re_1
2026-11-10T09:00Z A second pack, a week later.
    credit-pack acme small --session cs_1002
2026-11-24T00:05Z Cron runs the sweep: the rest of the first pack has expired.
    expire --all
2026-11-24T00:06Z The balance of the org.
    balance acme
2026-11-24T00:07Z The closed week.
    meter history acme
2026-11-24T00:08Z Every unit that moved, and the balance after it.
    ledger acme
2026-11-24T00:09Z Check that the journal adds up.
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
        # The caller's settings are removed: the demo config has no such profile, for example.
        environment = {name: value for name, value in wiring.environ.items() if not name.startswith("METERCTL_")}
        environment["METERCTL_ACTOR"] = "demo"
        shared = ["--store", f"sqlite:{place}/demo.db", "--config", str(config), "-o", wiring.output]
        for act in acts():
            _play(act, shared, wiring.output, environment)


class Act(NamedTuple):
    """A part of the story: time, text, and command line."""

    now: str
    text: str
    line: str


def acts() -> Iterator[Act]:
    lines = _STORY.splitlines()
    for heading, line in zip(lines[::2], lines[1::2], strict=True):
        now, _, text = heading.partition(" ")
        yield Act(now, text, line.strip())


def _play(act: Act, shared: list[str], output: str, environment: dict[str, str]) -> None:
    # In formats for scripts, standard output holds only documents.
    talk = sys.stdout if output in ("table", "markdown", "plain") else sys.stderr
    talk.write(f"\n# {act.now}  {act.text}\n$ meterctl {act.line}\n")
    talk.flush()
    # A new process, as the reader would start it; without a terminal, so that it asks nothing.
    process = subprocess.run(  # noqa: S603 - our own program, our own words
        [sys.executable, "-m", "meterctl", *shared, "--now", act.now, *act.line.split()],
        stdin=subprocess.DEVNULL,
        env=environment,
        timeout=STEP_SECONDS,
        check=False,
    )
    if process.returncode != DONE:
        raise MeterctlError(f"the step {act.line!r} ended with exit code {process.returncode}", code="demo_failed")
