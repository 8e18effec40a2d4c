"""One replica: the engine that serves, and how it takes up what was promoted or published.

What serves is named by aliases in the log. Whatever of it changes, another engine takes the place
of the one before as a whole: while it is prepared, the old one still answers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from features.text.model import TextModel, load_text_model
from models.bundles.bundle import Bundle
from models.bundles.prior import is_prior
from models.bundles.registry import TEXT
from models.bundles.scorer import BundleScorer
from models.learning.scorers import prior_in_force, stored_bundle
from nba.customer.context import ContextSchema
from nba.engine.decider import IdsAndSeeds
from nba.errors import InvalidBundle, NbaError, StoreUnavailable
from nba.events.valences import ValenceTable
from nba.journey.file import JourneyFile
from nba.promotion import catalogue_versions as catalogue
from nba.stores.log import Log
from nba.stores.versioned import version_in_force
from serving.replica.engine import Engine, make_engine
from serving.replica.in_force import InForce, pipeline_in_force, read_in_force

logger = logging.getLogger("nba.serving")


@dataclass(slots=True)
class Replica:
    """The parts of one replica, with what it has taken up last."""

    log: Log
    engine: Engine
    now: Callable[[], datetime]
    chance: IdsAndSeeds
    close: Callable[[], None]
    in_force: InForce | None = None  # what was taken up last; None: nothing yet
    misfit: str = ""  # why the guesses decide and not the champion; empty: they do not, or none is

    @property
    def champion(self) -> str | None:
        """The bundle that was promoted last, as far as this replica knows."""
        return self.in_force.champion if self.in_force is not None else None

    def reload(self) -> bool:
        """Take up what was promoted and published; True where the champion or catalogue changed.

        Without a champion, or with one that was trained for another journey file, decisions are
        drawn by the owner's guesses and what is learned on them. A champion that cannot be read
        leaves the engine without a scorer: decisions come from the owner's fallback and say why.
        A catalogue that cannot be read leaves the present one in force. Another catalogue, or other
        valences, get an engine of their own, whose contexts are rebuilt from the log while the old
        one still answers. Raises StoreUnavailable.
        """
        before, in_force = self.in_force, read_in_force(self.log)
        if in_force == before:
            return False
        same = before is not None and in_force.same_engine(before)
        engine = self.engine if same else self._engine_of(in_force)
        if before is None or in_force.text_model != before.text_model:
            engine = replace(engine, text_model=self._text_model())
        if engine.bundle is not None and is_prior(engine.bundle):
            engine = replace(engine, bundle=prior_in_force(self.log, engine.fold.schema))
        pipeline = pipeline_in_force(self.log, engine.pipeline, engine.bundle)
        pipeline = replace(pipeline, text_model=_text_model_name(engine))
        if engine.journey is not self.engine.journey:
            catalogue.note_served(self.log, engine.journey, self.now())
        self.engine, self.in_force = engine.deciding_by(pipeline), in_force
        return not same

    def _engine_of(self, in_force: InForce) -> Engine:
        """The engine of another champion or catalogue, with its contexts."""
        journey = self._journey(in_force.catalogue)
        bundle, fallback_reason, misfit = None, "", ""
        table = self.engine.fold.schema.table
        try:
            if in_force.champion is not None:
                bundle = stored_bundle(self.log, in_force.champion)
                table = bundle.table
        except StoreUnavailable:
            raise
        except NbaError as error:
            fallback_reason = str(error)
        engine = self._engine_on(journey, table)
        if not fallback_reason:
            bundle, misfit = self._that_fits(bundle, engine.fold.schema)
        if engine is not self.engine:
            engine.contexts.rebuild(self.engine.contexts.cached())
        strategy = engine.pipeline.strategy._replace(
            scorer=None, fallback_reason=fallback_reason, challenger=None
        )
        engine = engine.deciding_by(replace(engine.pipeline, strategy=strategy))
        self.misfit = misfit
        return replace(engine, bundle=bundle, text_model=self.engine.text_model)

    def _that_fits(self, bundle: Bundle | None, schema: ContextSchema) -> tuple[Bundle, str]:
        """The champion, or the guesses of a journey file for which none was trained and why."""
        misfit = ""
        if bundle is not None:
            try:
                BundleScorer(bundle, schema)
            except InvalidBundle as error:
                misfit = f"the guesses of the journey file decide: {error}"
                logger.warning("%s", misfit)
            else:
                return bundle, misfit
        return prior_in_force(self.log, schema), misfit

    def _journey(self, version: str | None) -> JourneyFile:
        """The catalogue of this version; the present one where it is that, or cannot be read."""
        journey = self.engine.journey
        if version is None or version == journey.catalogue_version():
            return journey
        try:
            return catalogue.stored_journey(self.log, version)
        except StoreUnavailable:
            raise
        except NbaError as error:
            logger.warning("the catalogue stays as it is: %s", error)
            return journey

    def _engine_on(self, journey: JourneyFile, table: ValenceTable) -> Engine:
        schema = self.engine.fold.schema
        if journey is schema.journey and table == schema.table:
            return self.engine
        return make_engine(journey, self.log, table)

    def _text_model(self) -> TextModel | None:
        """The text model in force; the present one where that cannot be used."""
        try:
            loaded = text_model(self.log)
            return self.engine.text_model if loaded is None else loaded
        except InvalidBundle as error:
            logger.warning("texts are read as before: %s", error)
            return self.engine.text_model


def text_model(log: Log) -> TextModel | None:
    """The text model in force, None before the first. Raises InvalidBundle, StoreUnavailable."""
    stored = version_in_force(log, TEXT)
    if stored is None:
        return None
    model = load_text_model(stored.files)
    if model.model_id != stored.bundle_id:
        raise InvalidBundle(f"{stored.bundle_id}: altered since training; run nba train text again")
    return model


def _text_model_name(engine: Engine) -> str:
    """The id of the text model, `untrained`, or `none` where no event has a text."""
    if not any(mapping.text for mapping in engine.journey.events):
        return "none"
    return engine.text_model.model_id if engine.text_model is not None else "untrained"
