"""One replica of a deployment watches what is rolled out, and takes it back."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

from models.learning.scorers import scorer_now, stored_bundle
from models.learning.versions import state_before
from models.policies.from_journey import strategy_of
from nba.engine.pipeline import make_pipeline
from nba.engine.redecision import redecided
from nba.errors import NbaError, StoreUnavailable
from nba.promotion import catalogue_versions as catalogue
from nba.promotion.champion_before import Redecide
from nba.promotion.guardrails import Guardrails, Keep, RollBack, act
from nba.promotion.rollout import Rollout, rollout_of
from nba.rewards.attribution import Attribution
from nba.rewards.bounds import bounded, bounds_in_force
from nba.stores.log import Log
from serving.replica.engine import Engine

TURN = "guard"
POLICY_CHANGES = 10_000  # of what was learned, among which the last before a promotion is sought

logger = logging.getLogger("nba.serving")


class RolloutWatch:
    """Looks at the guardrails of whatever is under way; it goes on from where it was."""

    def __init__(self, log: Log, engine: Callable[[], Engine], now: Callable[[], datetime]) -> None:
        """`engine`: what serves now."""
        self._log, self._engine, self._now = log, engine, now
        self._made: tuple[Rollout, str, Guardrails] | None = None  # for this rollout and catalogue

    def step(self) -> bool:
        """One look, where no other replica looks; there is never more to do at once."""
        with self._log.turn(TURN) as has_turn:
            if has_turn:
                self.look()
        return False

    def look(self) -> Keep | RollBack | None:
        """Look and act; None where nothing is under way.

        Raises InvalidInput where another program version moved it, StoreUnavailable.
        """
        rollout, now = rollout_of(self._log), self._now()
        if rollout is None:
            self._made = None
            return None
        verdict = self._guard(rollout).look(now)
        if act(self._log, rollout, verdict, now):
            why = verdict.why if isinstance(verdict, RollBack) else verdict.sentence
            level = logging.WARNING if isinstance(verdict, RollBack) else logging.INFO
            logger.log(level, "%s of %s ends: %s", rollout.stage, rollout.bundle_id, why)
        return verdict

    def _guard(self, rollout: Rollout) -> Guardrails:
        engine = self._engine()
        version = engine.journey.catalogue_version()
        if self._made is None or self._made[:2] != (rollout, version):
            journey = bounded(engine.journey, bounds_in_force(self._log))
            attribution = Attribution(journey, engine.fold.encoder.kind)
            is_champion = rollout.stage == "champion"
            guardrails = Guardrails(
                self._log,
                journey=engine.journey,
                attribution=attribution,
                rollout=rollout,
                redecide=self._champion_before(rollout, engine) if is_champion else None,
            )
            self._made = rollout, version, guardrails
        return self._made[2]

    def _champion_before(self, rollout: Rollout, engine: Engine) -> Redecide | None:
        """How the champion before decides, None where it cannot on what serves now.

        With what it had learned when it was replaced; where that is thinned out of the log by now,
        with its warm start.
        """
        schema, journey = engine.fold.schema, engine.journey
        learned = state_before(self._log, rollout.champion, rollout.since, POLICY_CHANGES)
        try:
            scorer = scorer_now(stored_bundle(self._log, rollout.champion), learned, schema)
        except StoreUnavailable:
            raise
        except NbaError as error:
            logger.warning("the champion before is not compared: %s", error)
            return None
        earlier = catalogue.earlier_sub_journeys(self._log)
        pipeline = make_pipeline(schema, strategy_of(journey, scorer), earlier)
        return lambda decisions: redecided(pipeline, decisions)
