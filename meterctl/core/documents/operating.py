"""Documents of commands for operators."""

from typing import Annotated, Any, Literal, NotRequired, TypedDict

from meterctl.core.documents.fields import (
    Actor,
    Currency,
    Percent,
    Plan,
    Quota,
    Ratios,
    Reason,
    Version,
    Warnings,
    cents,
    instant,
    means,
    number,
    text,
    units,
)
from meterctl.core.model import Instant


class VersionRecord(TypedDict):
    plan: Plan
    version: Version
    weekly_quota: Quota
    ratios: Ratios
    effective_from: Annotated[Instant, instant("in force from then on")]
    published_at: Annotated[Instant, instant("the instant it was published")]
    actor: Actor
    reason: Reason
    rollover_max: Annotated[int, units("most that is carried over from a week's unused quota; 0: nothing")]
    rollover_weeks: Annotated[int, number("weeks after which carried units expire", least=1)]


class PublishedRecord(VersionRecord):
    status: Literal["applied", "unchanged", "planned"]
    applied: Annotated[bool, means("true only if this call published it")]


class PlanVersionDocument(PublishedRecord):
    """A plan version, and whether this call published it."""

    schema: Literal["meterctl.plan-version.v1"]
    warnings: Warnings


class PlanVersions(TypedDict):
    """Every version of a plan, oldest first."""

    schema: Literal["meterctl.plan.v1"]
    plan: Plan
    versions: list[VersionRecord]


class PlansDocument(TypedDict):
    """Plans with the version in force; after publishing from the config also whether this call published it."""

    schema: Literal["meterctl.plans.v1"]
    plans: list[PublishedRecord | VersionRecord]
    warnings: NotRequired[Warnings]


class LeaseDocument(TypedDict):
    name: Annotated[str, text("the lock's name")]
    holder: Annotated[str, text("the process that holds it")]
    acquired_at: Annotated[Instant, instant("since when")]
    expires_at: Annotated[Instant, instant("until when, unless renewed")]


class ListedLease(LeaseDocument):
    """A lock and its holder."""

    expired: Annotated[bool, means("true: anyone may take it")]


class LocksDocument(TypedDict):
    """The locks of sweeps."""

    schema: Literal["meterctl.locks.v1"]
    locks: list[ListedLease]


class Lock(LeaseDocument):
    """A lock that was to be broken."""

    schema: Literal["meterctl.lock.v1"]
    broken: Annotated[bool, means("true: it was taken from its holder")]
    dry_run: Annotated[bool, means("true: it was left alone")]
    reason: Annotated[str, text("why")]
    actor: Actor
    warnings: NotRequired[Warnings]


class ExportedPlan(VersionRecord):
    """A plan version, as a line of `export --plans`."""

    schema: Literal["meterctl.exported-plan.v1"]


class RepairDocument(TypedDict):
    """The outcome of repairing the cached heads, or the claims on payments."""

    schema: Literal["meterctl.repair.v1"]
    orgs: Annotated[int, number("orgs looked at")]
    mended: Annotated[int, number("heads or claims made anew")]
    unreadable: Annotated[list[str], means("orgs whose last entry cannot be read")]


StripePrices = Annotated[list[str], means("ids of Stripe's prices that stand for it")]


class ConfigPack(TypedDict):
    """A pack on sale."""

    units: Annotated[int | None, units("units it holds; null: a pack of any amount", least=1)]
    price_cents: Annotated[int | None, cents("its price; null: a pack of any amount")]
    currency: Currency
    expiry_days: Annotated[int | None, number("days after which its units expire; null: never", least=1)]
    priority: Annotated[int, number("place in the order in which lots are spent: the lowest first", most=100)]
    prices: Annotated[dict[str, int], means("price in minor units by further currency")]
    stripe_prices: StripePrices
    unit_price_cents: Annotated[str | None, text("price of one unit, as decimal text; null: it has units and a price")]


class ConfigPlan(TypedDict):
    """A plan as the config describes it; in force once it is published."""

    weekly_quota: Quota
    ratios: Ratios
    rollover_max: Annotated[int, units("most that is carried over from a week's unused quota; 0: nothing")]
    rollover_weeks: Annotated[int, number("weeks after which carried units expire", least=1)]
    stripe_prices: StripePrices


class ConfigLimits(TypedDict):
    """The most that one command at the desk may book; 0: no limit."""

    adjust: Annotated[int, units("of an adjustment")]
    debit: Annotated[int, units("of a debit")]
    debt: Annotated[int, units("owed by an org after a debit or adjustment")]
    refund_cents: Annotated[int, cents("of a refund")]
    approval_over: Annotated[int, units("booked without somebody else's saved plan")]


class ConfigStripe(TypedDict):
    """The way a payment is read from Stripe's objects."""

    org: Annotated[list[str], means("places of the org's id; the first that is there counts")]
    pack: Annotated[list[str], means("places of the pack's name; the first that is there counts")]
    only: Annotated[dict[str, str], means("places and the text that a payment for this store holds there")]
    payments: Annotated[list[Literal["checkout", "payment_intent", "invoice"]], means("the objects that are payments")]
    discounts: Annotated[Literal["refuse", "accept"], means("the treatment of a discounted payment")]
    ignore: Annotated[list[str], means("payments that are left alone")]
    account: Annotated[str | None, text("the connected account whose payments these are; null: the key's own")]


class ConfigProfile(TypedDict):
    """A place to work on, by name."""

    store: Annotated[str | None, text("its store, without any secret; null: as without a profile")]
    store_file: Annotated[str | None, text("the file that holds its store's URL; null: none")]
    collection_prefix: Annotated[str | None, text("beginning of its collections' names; null: none")]
    production: Annotated[bool, means("true: a write there has to name it")]
    actor: Annotated[str | None, text("the actor there; null: as without a profile")]
    limits: Annotated[dict[str, int], means("limits of its own, by name")]
    require_reason: Annotated[
        list[str] | None, means("operations that need a reason there; null: as without a profile")
    ]
    reason_pattern: Annotated[str | None, text("pattern a reason has to match there; null: as without a profile")]


class LookedAt(TypedDict):
    """A place that is searched for a config."""

    path: Annotated[str, text("the file")]
    found: Annotated[bool, means("true: it is there; the first such file is in force")]


class ConfigInit(TypedDict):
    """A first config that was written."""

    schema: Literal["meterctl.config-init.v1"]
    path: Annotated[str, text("the file")]


class ParameterDocument(TypedDict):
    """An argument or option of a command."""

    flags: Annotated[list[str], means("its names; of an argument, the one in the usage line")]
    argument: Annotated[bool, means("true: given by its place")]
    value: Annotated[str | None, means("word for its value; null: it is a switch")]
    required: Annotated[bool, means("true: it has to be given")]
    repeatable: Annotated[bool, means("true: it may be given several times")]
    help: Annotated[str, text("its meaning")]


class CommandDocument(TypedDict):
    """A command, as it is typed."""

    name: Annotated[str, text("such as meter show")]
    summary: Annotated[str, text("its first sentence")]
    help: Annotated[str, text("its help text, with examples")]
    writes: Annotated[bool, means("true: it may book something, and has --dry-run")]
    parameters: list[ParameterDocument]


class ExitCodeDocument(TypedDict):
    """An exit code of every command."""

    code: Annotated[int, number("exit code")]
    meaning: Annotated[str, text("its meaning")]


class ReasonDocument(TypedDict):
    """A reason for which a rule refuses an operation."""

    code: Annotated[str, text("as in the field reason of a receipt")]
    exit_code: Annotated[int, number("exit code of the command")]
    hint: Annotated[str, text("the next step")]


class Commands(TypedDict):
    """Every command, option, exit code and reason."""

    schema: Literal["meterctl.commands.v1"]
    commands: list[CommandDocument]
    exit_codes: list[ExitCodeDocument]
    reasons: list[ReasonDocument]


class Config(TypedDict):
    """The config in force, defaults included."""

    schema: Literal["meterctl.config.v1"]
    source: Annotated[str | None, text("the file it comes from; null: there is none")]
    looked_at: Annotated[list[LookedAt], means("places that were searched, in order")]
    profile: Annotated[str | None, text("the profile that was chosen; null: none")]
    store: Annotated[str, text("the store, without any secret")]
    actor: Actor
    meter_mode: Annotated[bool, means("false: usage is not booked")]
    default_plan: Annotated[Plan, means("plan of orgs without one")]
    dollars_to_units: Annotated[str, text("units for one US dollar of cost, as decimal text")]
    run_base: Annotated[int, units("least units of a run")]
    max_units_per_run: Annotated[int, units("most units of a run; 0: no cap")]
    thresholds: list[Percent]
    balance_alerts: Annotated[list[int], means("balances that raise an alert when undercut, highest first")]
    overage: Literal["debt", "absorb"]
    settle_overage: Annotated[bool, means("true: overage is paid from the next week's quota")]
    allow_time_travel: Annotated[bool, means("true: the clock may be pinned on MongoDB")]
    max_clock_skew: Annotated[int, number("seconds that this clock may be off the server's", least=1)]
    max_clock_jump: Annotated[int, number("seconds that the clock may be ahead of a file's last write", least=1)]
    require_reason: Annotated[list[str], means("operations that need a reason, here")]
    reason_pattern: Annotated[str, text("regular expression that a reason has to match somewhere; empty: any, here")]
    limits: Annotated[ConfigLimits, means("limits in force here")]
    packs: dict[str, ConfigPack]
    plans: dict[str, ConfigPlan]
    stripe: ConfigStripe
    profiles: dict[str, ConfigProfile]


class StepDocument(TypedDict):
    """Something that was made, or found."""

    step: Annotated[str, text("the step, for people")]


class Init(TypedDict):
    """The outcome of creating or completing the store."""

    schema: Literal["meterctl.init.v1"]
    store: Annotated[str, text("the store, without any secret")]
    role: Annotated[dict[str, Any] | None, means("MongoDB: the command that makes the role of a user that books")]
    reader_role: Annotated[dict[str, Any] | None, means("MongoDB: the same for a user that only reads")]
    steps: list[StepDocument]


class SchemaName(TypedDict):
    """A document by its name."""

    name: Annotated[str, text("name, as `meterctl schema` takes it")]
    describes: Annotated[str, text("its content, for people")]


class Schemas(TypedDict):
    """The documents that have a JSON Schema."""

    schema: Literal["meterctl.schemas.v1"]
    schemas: list[SchemaName]


class Error(TypedDict):
    """The failure of a command; printed on standard error."""

    schema: Literal["meterctl.error.v1"]
    code: Annotated[str, text("code of the failure; stable")]
    message: Annotated[str, text("the event, for people")]
    hint: Annotated[str, text("the next step, for people")]
