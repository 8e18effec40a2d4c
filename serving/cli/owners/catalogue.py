"""Commands that change what governs: publish, rollback, changes."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from serving.cli.scientists.promotion import is_champion, taken_back
from serving.cli.scientists.verdicts import follow_champion
from serving.cli.terminal.options import By, Json, Why
from serving.cli.terminal.session import command_settings, current_user
from serving.console import console, print_json, print_table
from serving.settings import Settings

if TYPE_CHECKING:
    from nba.journey.file import JourneyFile
    from nba.stores.log import Log

Promote = Annotated[
    str | None,
    typer.Option(
        metavar="WHICH", help="Also make this version or alias the champion; it must fit."
    ),
]
WithoutChampion = Annotated[
    bool,
    typer.Option(
        "--without-champion",
        help="Even where the champion does not fit: the guesses decide.",
    ),
]


def publish(
    file: Annotated[Path, typer.Argument(help="A journey file.")],
    why: Why,
    promote: Promote = None,
    without_champion: WithoutChampion = False,
    by: By = "",
    json: Json = False,
) -> None:
    """Put a journey file in force: running services take it up within seconds.

    From then on it counts, and NBA_JOURNEY's file does not. A file on which the champion cannot
    serve goes together with a bundle that was trained for it, by `nba train --journey FILE`.
    Example: `nba publish examples/bank/journey.yaml --why "spring campaign" --promote challenger`
    """
    from nba.journey_file.loader import load_journey
    from nba.promotion import catalogue_versions as catalogue
    from serving.replica.assembly import opened_log, utc_now

    journey, settings, now, by = (
        load_journey(file),
        command_settings(),
        utc_now(),
        by or current_user(),
    )
    with opened_log(settings) as log:
        before = log.alias(catalogue.IN_FORCE)
        champion = _Champion(settings, log, promote, without_champion, now, by)
        version = catalogue.publish(log, journey, now, by=by, why=why, prepare=champion.prepare)
        champion.follow()
    if json:
        print_json({"version": version, "before": before} | champion.promoted)
        return
    console.print(f"{version} is in force" + (f", before it {before}" if before else ""))
    champion.say()


def rollback(
    to: Annotated[
        str | None,
        typer.Argument(
            help="A journey file's version, none: the one before. Of models: `champion` takes back "
            "what moved last; a version number or bundle id makes that one the champion."
        ),
    ] = None,
    why: Why = "",
    promote: Promote = None,
    without_champion: WithoutChampion = False,
    by: By = "",
    json: Json = False,
) -> None:
    """Put an earlier journey file in force again, or an earlier champion.

    Where the champion cannot serve on the file, together with one that can. Example:
    `nba rollback --why "too many calls"`, `nba rollback champion --why "fewer answers"`
    """
    from nba.promotion import catalogue_versions as catalogue
    from serving.replica.assembly import opened_log, utc_now

    settings, now, by = command_settings(), utc_now(), by or current_user()
    if is_champion(to):
        if promote is not None or without_champion:
            raise typer.BadParameter("--promote and --without-champion are of journey files")
        with opened_log(settings) as log:
            champion_id = taken_back(settings, log, to, by=by, why=why, now=now)
        if json:
            print_json({"champion": champion_id})
        else:
            console.print(f"{champion_id} is champion")
        return
    with opened_log(settings) as log:
        champion = _Champion(settings, log, promote, without_champion, now, by)
        prepare = champion.prepare
        version = catalogue.roll_back(log, now, by=by, why=why, to=to, prepare=prepare)
        champion.follow()
    if json:
        print_json({"version": version} | champion.promoted)
        return
    console.print(f"{version} is in force")
    champion.say()


@dataclass
class _Champion:
    """The champion that a catalogue is put in force with.

    Raises BadParameter for options that exclude each other.
    """

    settings: Settings
    log: Log
    promote: str | None
    without: bool
    now: datetime
    by: str
    promoted: dict[str, str] = field(default_factory=dict)  # bundle and version, where it moved

    def __post_init__(self) -> None:
        if self.promote is not None and self.without:
            raise typer.BadParameter("--promote and --without-champion exclude each other")

    def prepare(self, journey: JourneyFile) -> None:
        """See that the champion fits this catalogue, or promote one that does.

        The champion's alias moves last here and the catalogue's right after it: replicas read the
        champion's first, so that only a look that falls between the two moves, or spans both, sees
        one without the other. Such a replica decides by the fallback until its next look. Raises
        InvalidBundle, NotFound, StoreUnavailable.
        """
        from models.bundles.registry import Registry
        from serving.replica.bundle_checks import check_champion
        from training.runs.promote import promote, usable_bundle

        if self.promote is None:
            if not self.without:
                check_champion(self.log, journey)
            return
        registry = Registry(self.settings.tracking_url, self.settings.artifacts)
        registered = usable_bundle(registry, journey, self.promote)
        version, bundle_id = registered.version, registered.bundle.bundle_id
        why = f"promoted version {version}"
        promote(
            self.log,
            registered,
            "champion",
            without_gates=True,
            now=self.now,
            by=self.by,
            why=why,
        )
        self.promoted = {"champion": bundle_id, "champion_version": version}

    def follow(self) -> None:
        """Let MLflow follow the champion that was promoted, where one was."""
        if self.promoted:
            follow_champion(self.settings, self.log, self.promoted["champion_version"])

    def say(self) -> None:
        """Say which version was promoted, where one was."""
        if self.promoted:
            version, bundle_id = self.promoted["champion_version"], self.promoted["champion"]
            console.print(f"version {version} ({bundle_id}) is champion")


def changes(json: Json = False) -> None:
    """Who put which journey file and which models in force, newest first.

    Example: `nba changes`
    """
    from nba.promotion import catalogue_versions as catalogue, rollout
    from nba.stores.versioned import CHAMPION, REMEMBERED
    from serving.replica.assembly import opened_log

    with opened_log(command_settings()) as log:
        moved = [*catalogue.changes(log), *rollout.changes(log)]
        moved += log.alias_changes(CHAMPION, REMEMBERED)
    moved.sort(key=lambda change: change.at, reverse=True)
    if json:
        print_json(moved)
        return
    print_table(
        "Changes",
        ("at", "what", "from", "to", "by", "why"),
        [
            (
                change.at.isoformat(timespec="seconds"),
                change.alias,
                change.before,
                change.after,
                change.by,
                change.why,
            )
            for change in moved
        ],
    )
