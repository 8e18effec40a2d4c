"""The command for outbound messages: what waits, what is dead, once more."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from nba.errors import NotFound
from serving.cli.terminal.options import Json
from serving.cli.terminal.session import command_settings
from serving.console import console, print_json, print_table


def deliveries(
    state: Annotated[
        Literal["waiting", "delivered", "dead"], typer.Option(help="Which of them.")
    ] = "dead",
    again: Annotated[str | None, typer.Option(help="Send this decision's once more.")] = None,
    release: Annotated[
        bool, typer.Option("--release", help="Send those that waited before delivery began.")
    ] = False,
    json: Json = False,
) -> None:
    """Outbound messages: those that could not be delivered, by default.

    Those that waited before there was a webhook, or while no service ran, are held until they are
    released; beyond `contact_policy.stale_hours` they are not sent.
    Example: `nba deliveries --state waiting`
    """
    from serving.replica.assembly import opened_log, utc_now
    from serving.workers.delivery import again as once_more, release as let_go

    with opened_log(command_settings()) as log:
        if again is not None:
            dead = {message.decision_id: message for message in log.deliveries("dead", 10_000)}
            if again not in dead:
                raise NotFound(f"decision_id: {again!r}: no dead delivery of this decision")
            log.settle_delivery(once_more(dead[again], utc_now()))
            if json:
                print_json(log.deliveries("waiting"))
            else:
                console.print(f"{again} is sent once more")
            return
        if release:
            released = let_go(log, utc_now())
            if json:
                print_json({"released": released})
            else:
                console.print(f"{released:,} released; what is stale by now is not sent")
            return
        messages = log.deliveries(state)
    if json:
        print_json(messages)
        return
    print_table(
        f"Deliveries, {state}",
        ("decision", "customer", "due", "attempts", "error"),
        [
            (
                message.decision_id,
                message.customer_id,
                f"{message.due_at:%Y-%m-%d %H:%M:%S}",
                message.attempts,
                message.error,
            )
            for message in messages
        ],
    )
