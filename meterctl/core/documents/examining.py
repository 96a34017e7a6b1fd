"""The document of the doctor."""

from typing import Annotated, Literal, TypedDict

from meterctl.core.documents.fields import means, text


class ObservationDocument(TypedDict):
    """Something that was looked at."""

    name: Annotated[str, text("the subject of the check")]
    ok: Annotated[bool | None, means("null: neither right nor wrong, or it could not be looked at")]
    found: Annotated[str, text("the result, for people")]
    fix: Annotated[str | None, text("the next step, for people; null: none")]
    code: Annotated[str | None, text("the code of the error behind it, as commands give it; null: there is none")]


class DoctorDocument(TypedDict):
    """The state of config and store."""

    schema: Literal["meterctl.doctor.v1"]
    ok: Annotated[bool, means("true: nothing is wrong")]
    store: Annotated[str, text("the store, without any secret")]
    checks: list[ObservationDocument]
