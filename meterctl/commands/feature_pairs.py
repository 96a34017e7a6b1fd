"""Values by feature from a repeated option: ``--cost llm=0.0125``, ``--ratio llm=1.25``."""

from collections.abc import Iterable

from meterctl.core.errors import BadInput


def by_feature(option: str, pairs: Iterable[str], *, unit: str, example: str, code: str) -> dict[str, str]:
    """Return the values of ``option`` by feature, unchecked. Raises `BadInput` for a pair without ``=``, and if a
    feature is given twice."""
    values: dict[str, str] = {}
    for pair in pairs:
        feature, sign, value = pair.partition("=")
        if not sign:
            raise BadInput(f"{option} {pair!r} is not FEATURE={unit}", hint=f"{option} {example}", code=code)
        if feature in values:
            raise BadInput(f"{option} {feature} is given twice", hint=f"give one {option} for a feature", code=code)
        values[feature] = value
    return values
