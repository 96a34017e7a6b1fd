"""The document of the doctor."""

from typing import Annotated, Literal, TypedDict

from meterctl.core.documents.fields import means, text


class ObservationDocument(TypedDict):
    """Something that was looked at."""

    name: Annotated[str, text("what was looked at")]
    ok: Annotated[bool | None, means("null: neither right nor wrong, or it could not be looked at")]
    found: Annotated[str, text("what was found, for people")]
    fix: Annotated[str | None, text("what to do about it, for people; null: nothing")]


class DoctorDocument(TypedDict):
    """What there is to say of config and store."""

    schema: Literal["meterctl.doctor.v1"]
    ok: Annotated[bool, means("true: nothing is wrong")]
    store: Annotated[str, text("the store, without any secret")]
    checks: list[ObservationDocument]
