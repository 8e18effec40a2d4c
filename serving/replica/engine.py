"""An engine: from events to a decision, on one catalogue and one set of valences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from features.context_store import ContextStore
from features.fold import Fold
from features.text.model import TextModel
from features.text.scoring import score_texts
from models.bundles.bundle import Bundle
from models.policies.from_journey import strategy_of
from nba.engine.decider import Decider
from nba.engine.pipeline import Pipeline, make_pipeline
from nba.events.event import Event
from nba.events.valences import ValenceTable
from nba.journey.file import JourneyFile
from nba.promotion import catalogue_versions as catalogue
from nba.stores.log import Log


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """From events to a decision, on one catalogue and one set of valences.

    Immutable, so that whoever holds it decides by one state of affairs from start to end.
    """

    fold: Fold
    contexts: ContextStore
    decider: Decider
    bundle: Bundle | None = None  # the champion, where it can be used
    text_model: TextModel | None = None  # reads texts on the way in

    @property
    def journey(self) -> JourneyFile:
        """The catalogue that serves."""
        return self.fold.schema.journey

    @property
    def pipeline(self) -> Pipeline:
        """What decides, once the contexts are read."""
        return self.decider.pipeline

    def read_words(self, events: Sequence[Event]) -> list[Event]:
        """The events, those with a text scored by the text model."""
        return score_texts(events, self.fold.encoder, self.text_model)

    def deciding_by(self, pipeline: Pipeline) -> Engine:
        """The same with another pipeline; it shares the contexts."""
        return replace(self, decider=replace(self.decider, pipeline=pipeline))


def make_engine(journey: JourneyFile, log: Log, table: ValenceTable) -> Engine:
    """An engine on this catalogue and these valences, its kernel compiled, its contexts not yet
    read, and no bundle in it. Raises StoreUnavailable."""
    earlier = catalogue.earlier_sub_journeys(log)
    fold = Fold(journey, table, earlier)
    fold.compile()
    contexts = ContextStore(log, fold)
    pipeline = make_pipeline(fold.schema, strategy_of(journey), earlier)
    return Engine(
        fold=fold,
        contexts=contexts,
        decider=Decider(pipeline=pipeline, contexts=contexts, log=log),
    )
