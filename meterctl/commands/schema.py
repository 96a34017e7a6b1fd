"""``meterctl schema``"""

import json
import sys
from typing import Annotated

from meterctl.commands.command import command, new_app
from meterctl.commands.completion import complete_schemas
from meterctl.commands.options import argument, switch
from meterctl.core.errors import BadInput, NotFound, did_you_mean
from meterctl.core.results import Facts, Listing
from meterctl.wiring import Wiring

app = new_app()


@command(app)
def schema(
    wiring: Wiring,
    name: Annotated[
        str | None, argument("[NAME]", "A document, as in its field schema (else: list them).", complete_schemas)
    ] = None,
    all_commands: Annotated[bool, switch("--commands", "Every command, option, exit code and reason.")] = False,
) -> Listing | Facts | None:
    """Print the JSON Schema of a document. Books nothing.

    Without a name it lists the documents. A document may get new fields at any time: readers must ignore unknown
    ones.

    \b
    Examples:
      meterctl schema
      meterctl schema receipt > receipt.schema.json
      meterctl schema --commands --json
    """
    if all_commands:
        if name is not None:
            raise BadInput("--commands takes no NAME", hint="meterctl schema --commands --json", code="usage")
        from meterctl.commands.catalogue import catalogue

        return Facts("commands", catalogue())
    from meterctl.schemas import DOCUMENTS, describes, json_schema

    if name is None:
        documents = [{"name": known, "describes": describes(known)} for known in DOCUMENTS]
        return Listing("schemas", "schemas", documents)
    short = name.removeprefix("meterctl.").removesuffix(".v1")
    if short not in DOCUMENTS:
        near = did_you_mean(short, DOCUMENTS)
        raise NotFound(f"there is no document {name!r}{near}", code="unknown_schema", hint="see: meterctl schema")
    spacing = None if wiring.output == "json" else 2
    sys.stdout.write(json.dumps(json_schema(short), indent=spacing) + "\n")
    return None
