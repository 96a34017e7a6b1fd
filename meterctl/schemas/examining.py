"""The document of the doctor."""

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict  # pydantic asks for this one before Python 3.12

from meterctl.schemas.fields import text


class Observation(TypedDict):
    """Something that was looked at."""

    name: Annotated[str, text("what was looked at")]
    ok: Annotated[bool | None, Field(description="null: neither right nor wrong, or it could not be looked at")]
    found: Annotated[str, text("what was found, for people")]
    fix: Annotated[str | None, text("what to do about it, for people; null: nothing")]


class Doctor(TypedDict):
    """What there is to say of config and store."""

    schema: Literal["meterctl.doctor.v1"]
    ok: Annotated[bool, Field(description="true: nothing is wrong")]
    store: Annotated[str, text("the store, without any secret")]
    checks: list[Observation]
