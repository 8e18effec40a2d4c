"""An engine: from events to a decision, on one catalogue and one set of valences."""

from __future__ import annotations

from dataclasses import dataclass

from features.context_store import ContextStore
from features.fold import Fold
from models.policies.from_journey import exploration_policy_of
from nba.engine.decider import Decider
from nba.engine.pipeline import Pipeline
from nba.events.valences import ValenceTable
from nba.journey.file import JourneyFile
from nba.promotion import catalogue_versions as catalogue
from nba.stores.log import Log


@dataclass(frozen=True, slots=True)
class Engine:
    """From events to a decision, on one catalogue and one set of valences."""

    fold: Fold
    contexts: ContextStore
    decider: Decider

    @property
    def journey(self) -> JourneyFile:
        """The catalogue that serves."""
        return self.fold.schema.journey


def make_engine(journey: JourneyFile, log: Log, table: ValenceTable) -> Engine:
    """An engine on this catalogue and these valences, its kernel compiled, its contexts not yet
    read. Raises StoreUnavailable."""
    earlier = catalogue.earlier_sub_journeys(log)
    fold = Fold(journey, table, earlier)
    fold.compile()
    contexts = ContextStore(log, fold)
    policy = exploration_policy_of(journey.exploration, [action.id for action in journey.actions])
    pipeline = Pipeline(fold.schema, policy, earlier)
    return Engine(fold, contexts, Decider(pipeline=pipeline, contexts=contexts, log=log))
