"""Commands about what is learned online: how far it is, pause, resume, reset, roll back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from serving.cli.terminal.options import Json, Why
from serving.cli.terminal.session import command_settings, current_user
from serving.console import console, print_json, print_table

if TYPE_CHECKING:
    from models.learning.status import PolicyStatus
    from models.learning.versions import Mode

policy_app = typer.Typer(
    rich_markup_mode="markdown",
    no_args_is_help=True,
    help="What is learned online, minute by minute. Example: `nba policy status`",
)

ROWS = 15  # actions and versions that a table shows


@policy_app.command()
def status(json: Json = False) -> None:
    """Say what was learned of each action, up to where, and which versions there were.

    Example: `nba policy status`
    """
    from models.learning.status import policy_status
    from serving.replica.assembly import opened_log

    with opened_log(command_settings()) as log:
        status = policy_status(log)
    if json:
        print_json(status)
    else:
        _print(status)


@policy_app.command()
def pause(why: Why, json: Json = False) -> None:
    """Learn nothing more until it is resumed; the version in force goes on deciding.

    Example: `nba policy pause --why "the web feed sends nonsense"`
    """
    _set("paused", why, json)


@policy_app.command()
def resume(why: Why = "", json: Json = False) -> None:
    """Learn again, what came meanwhile included.

    Example: `nba policy resume`
    """
    _set("learning", why, json)


@policy_app.command()
def reset(why: Why, json: Json = False) -> None:
    """Forget what was learned online: begin anew with what the champion brings, from now on.

    Example: `nba policy reset --why "outcomes of March were wrong"`
    """
    from models.learning.versions import emptied, put_in_force
    from nba.promotion.catalogue_versions import COMMAND
    from serving.replica.assembly import assemble
    from serving.workers.background import learner_of

    settings = command_settings()
    replica = assemble(settings, by=COMMAND)
    try:
        target = learner_of(replica, settings).target()
        if target is None:
            raise typer.BadParameter("no champion is in force: there is nothing to reset")
        state = emptied(replica.log, target.bundle, target.attribution)
        kept = settings.policy_versions
        version = put_in_force(
            replica.log, state, replica.now(), by=current_user(), why=why, kept=kept
        )
    finally:
        replica.close()
    _tell(version, "in force, with nothing learned online", json)


@policy_app.command()
def rollback(
    to: Annotated[str | None, typer.Argument(help="A version; none: the one before.")] = None,
    why: Why = "",
    json: Json = False,
) -> None:
    """Let an earlier version decide again, and pause: resumed, it learns what came since anew.

    Example: `nba policy rollback --why "clicks fell after noon"`
    """
    from models.learning.scorers import check_version, deciding_bundle
    from models.learning.versions import back_to, policy_state, versions
    from nba.errors import NotFound
    from serving.replica.assembly import journey_in_force, opened_log, utc_now

    settings = command_settings()
    with opened_log(settings) as log:
        changes = versions(log, 1)
        wanted = to or (changes[0].before if changes else None)
        if wanted is None:
            raise NotFound("policy: there is no earlier version")
        kept = settings.policy_versions
        state, journey = policy_state(log, wanted), journey_in_force(settings, log)
        assert state is not None
        check_version(state, deciding_bundle(log, journey), journey)
        back_to(log, wanted, utc_now(), by=current_user(), why=why, kept=kept)
    _tell(wanted, "in force, and learning is paused", json)


def _set(mode: Mode, why: str, json: bool) -> None:
    from models.learning.versions import set_mode
    from serving.replica.assembly import opened_log, utc_now

    with opened_log(command_settings()) as log:
        set_mode(log, mode, utc_now(), by=current_user(), why=why)
    if json:
        print_json({"mode": mode})
    else:
        console.print(f"the policy is {mode}")


def _tell(version: str, what: str, json: bool) -> None:
    if json:
        print_json({"version": version})
    else:
        console.print(f"{version} is {what}")


def _print(status: PolicyStatus) -> None:
    print_table(
        "What was learned of each action, on top of the champion",
        ("action", "decisions", "correction", "unsure by"),
        [
            (learned.action, learned.exposures, learned.correction, learned.spread)
            for learned in status.actions[:ROWS]
        ],
    )
    print_table(
        "Versions, newest first",
        ("version", "at", "by", "why"),
        [
            (change.after, f"{change.at:%Y-%m-%d %H:%M:%S}", change.by, change.why)
            for change in status.versions
        ],
    )
    console.print(
        f"the policy is {status.mode}: {status.lessons:,} lessons, {status.behind:,} events behind",
        highlight=False,
    )
