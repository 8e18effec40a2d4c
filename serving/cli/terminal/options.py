"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of all chance.")]
By = Annotated[str, typer.Option(help="Who does it; none: the user of this machine.")]
Why = Annotated[str, typer.Option(help="What for; kept in the audit trail.")]
BundleName = Annotated[str, typer.Argument(help="A version or an alias.")]
