"""The house of one replica: what serves now, and how it takes up what was promoted or published.

Champion, text model and catalogue are aliases in the log. An engine is built on one catalogue and
one set of valences, and replaced as a whole: while another is prepared, the old one still answers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from features.context_store import ContextStore
from features.fold import Fold
from features.replay.visits import EmotionHistory, emotion_history
from features.text.model import TextModel, load_text_model
from features.text.scoring import read_words
from models.bundles.bundle import Bundle
from models.bundles.registry import TEXT
from models.bundles.scorer import BundleScorer
from models.learning.scorers import stored_bundle
from nba.decisions.candidate import Refused
from nba.decisions.decision import Decision
from nba.decisions.request import Request
from nba.engine.decider import Decider, IdsAndSeeds
from nba.errors import InvalidBundle, NbaError, NotFound, StoreUnavailable
from nba.events.event import Event
from nba.events.valences import ValenceTable
from nba.journey.file import JourneyFile
from nba.promotion import catalogue_versions as catalogue
from nba.stores.log import Log
from nba.stores.versioned import version_in_force
from serving.replica.engine import Engine, make_engine
from serving.replica.in_force import InForce, apply, in_force

logger = logging.getLogger("nba.serving")
STALE_DAYS = 7  # a message that waited longer is not sent


@dataclass(slots=True)
class Replica:
    """The parts of one replica, with what it has taken up last."""

    log: Log
    engine: Engine
    now: Callable[[], datetime]
    chance: IdsAndSeeds
    close: Callable[[], None]
    seen: InForce = InForce()  # what the aliases pointed at when they were last taken up
    bundle: Bundle | None = None  # the champion, where it can be used
    why_none: str = ""  # why it cannot
    looked: bool = False  # whether it has taken up anything yet
    words: TextModel | None = None  # reads texts on the way in
    words_alias: str | None = None  # the text model that was last looked at

    @property
    def champion(self) -> str | None:
        """The bundle that was promoted last, as far as this replica knows."""
        return self.seen.champion

    @property
    def journey(self) -> JourneyFile:
        """The catalogue that serves now."""
        return self.engine.journey

    @property
    def fold(self) -> Fold:
        """The fold that serves now."""
        return self.engine.fold

    @property
    def contexts(self) -> ContextStore:
        """The contexts that are served now."""
        return self.engine.contexts

    @property
    def decider(self) -> Decider:
        """The decider that serves now."""
        return self.engine.decider

    def decide(self, requests: Sequence[Request]) -> list[Decision]:
        """Decide and log. Raises InvalidInput, StoreUnavailable."""
        return self.decider.decide(requests, self.now(), self.chance)

    def decide_each(
        self,
        requests: Sequence[Request],
        wanted: Callable[[Request], bool] = lambda request: True,
    ) -> list[Decision | StoreUnavailable]:
        """`decide` for requests of several callers. Raises InvalidInput, StoreUnavailable."""
        return self.decider.decide_each(requests, self.now(), self.chance, wanted)

    def rehearse(self, requests: Sequence[Request]) -> list[Decision]:
        """Decide and log nothing. Raises InvalidInput, StoreUnavailable."""
        return self.decider.draw(requests, self.now(), self.chance)

    def advance_sub_journeys(self, customer_ids: Sequence[str]) -> list[Decision]:
        """Bring sub-journeys up to now. Raises StoreUnavailable."""
        return self.decider.advance_sub_journeys(customer_ids, self.now(), self.chance)

    def objection(self, decision: Decision, now: datetime) -> str | datetime | None:
        """Why a message must not go out any more, or until when it has to wait.

        It has waited too long, its action or its sub-journey is gone, a consent was withdrawn
        since; it waits for quiet hours to end. Raises StoreUnavailable.
        """
        due_at = decision.not_before or decision.decided_at
        if now - due_at > timedelta(days=STALE_DAYS):
            return f"it has waited for more than {STALE_DAYS} days"
        if all(action.id != decision.action_id for action in self.journey.actions):
            return "the action has left the catalogue"
        (context,) = self.contexts.of([decision.request.customer_id], now)
        ended = context.contact_history.exit_of(decision.step)
        if ended is not None:
            return f"its sub-journey is over: {ended}"
        return self.decider.pipeline.governor.delivery_block(decision.action_id, context)

    def activate(
        self, decision: Decision, *, anyway: bool = False
    ) -> tuple[tuple[Refused, ...], datetime | None]:
        """Let a deferred decision count, as `Decider.activate`. Raises StoreUnavailable."""
        return self.decider.activate(decision, self.now(), anyway=anyway)

    def reload(self) -> bool:
        """Take up what was promoted and published; True where it looked at others.

        A champion that cannot be used leaves the decider without a scorer: decisions come from
        the owner's fallback and say why. A catalogue that cannot be read leaves the present one
        in force. Another catalogue, or other valences, get an engine of their own, whose contexts
        are rebuilt from the log while the old one still answers. Raises StoreUnavailable.
        """
        self._reload_words()
        self.decider.pipeline.words = self.words_read_by
        seen = in_force(self.log)
        if self.looked and seen == self.seen:
            return False
        same = self.looked and seen[:2] == self.seen[:2]
        engine = self.engine if same else self._take_up(seen)
        apply(self.log, engine.decider.pipeline, engine.fold.schema, self.bundle, self.why_none)
        engine.decider.pipeline.words = self.words_read_by
        if engine.journey is not self.journey:
            catalogue.note_served(self.log, engine.journey, self.now())
        self.engine, self.seen, self.looked = engine, seen, True
        return not same

    def _take_up(self, seen: InForce) -> Engine:
        """The engine of another champion or catalogue, with its contexts; notes the bundle."""
        journey = self._journey(seen.published)
        table = self.engine.fold.schema.table
        self.bundle, self.why_none = None, ""
        try:
            self.bundle = stored_bundle(self.log, seen.champion)
            engine = self._engine(journey, self.bundle.table)
            BundleScorer(self.bundle, engine.fold.schema)
        except StoreUnavailable:
            raise
        except NbaError as error:
            self.bundle, self.why_none = None, str(error)
            engine = self._engine(journey, table)
        if engine is not self.engine:
            engine.contexts.rebuild(self.engine.contexts.cached())
        return engine

    @property
    def words_read_by(self) -> str:
        """The id of the text model, `untrained`, or `none` where no event has a text."""
        if not any(mapping.text for mapping in self.journey.events):
            return "none"
        return self.words.model_id if self.words is not None else "untrained"

    def read_words(self, events: Sequence[Event]) -> list[Event]:
        """The events, those with a text scored by the text model in force."""
        return read_words(events, self.fold.encoder, self.words)

    def story(self, customer_id: str, fold: Fold) -> tuple[datetime, EmotionHistory]:
        """(as_of, the last nodes) of a customer. Raises NotFound, StoreUnavailable."""
        events = self.log.events_since({customer_id: 0}).get(customer_id)
        if not events:
            raise NotFound(f"customer_id: {customer_id!r}: no event of this customer is in the log")
        as_of = max(self.now(), max(event.occurred_at for event in events))
        return as_of, emotion_history(fold, events, as_of)

    def _journey(self, published: str | None) -> JourneyFile:
        """The catalogue of this version; the present one where it is that, or cannot be read."""
        if published is None or published == self.journey.catalogue_version():
            return self.journey
        try:
            return catalogue.stored_journey(self.log, published)
        except StoreUnavailable:
            raise
        except NbaError as error:
            logger.warning("the catalogue stays as it is: %s", error)
            return self.journey

    def _engine(self, journey: JourneyFile, table: ValenceTable) -> Engine:
        if journey is self.journey and table == self.engine.fold.schema.table:
            return self.engine
        return make_engine(journey, self.log, table)

    def _reload_words(self) -> None:
        name = self.log.alias(TEXT)
        if name is None or name == self.words_alias:
            return
        self.words_alias = name
        try:
            self.words = text_model(self.log)
        except InvalidBundle as error:
            logger.warning("texts are read as before: %s", error)


def text_model(log: Log) -> TextModel | None:
    """The text model in force, None before the first. Raises InvalidBundle, StoreUnavailable."""
    stored = version_in_force(log, TEXT)
    if stored is None:
        return None
    model = load_text_model(stored.files)
    if model.model_id != stored.bundle_id:
        raise InvalidBundle(f"{stored.bundle_id}: altered since training; run nba train text again")
    return model
