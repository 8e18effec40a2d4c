"""The contexts of logged decisions, as another version of the journey file reads them."""

from __future__ import annotations

from collections.abc import Sequence

from features.fold import Fold
from nba.customer.contact_history import ContactHistoryRules
from nba.customer.context import Context
from nba.decisions.decision import Decision
from nba.engine.redecision import context_of
from nba.errors import InvalidInput, NotFound
from nba.promotion.catalogue_versions import stored_journey
from nba.stores.log import Log


class LoggedContexts:
    """Contexts as they were logged, or folded from the log where this version reads others."""

    def __init__(self, fold: Fold, log: Log) -> None:
        self.folded_again = 0
        self._fold = fold
        self._log = log
        self._readable: dict[str, bool] = {}

    def of(self, decisions: Sequence[Decision]) -> list[Context]:
        """One a decision. Raises StoreUnavailable."""
        again = [decision for decision in decisions if not self._reads(decision)]
        customers = dict.fromkeys((decision.request.customer_id for decision in again), 0)
        events = self._log.events_since(customers) if customers else {}
        self.folded_again += len(again)
        contexts = []
        for decision in decisions:
            if self._reads(decision):
                contexts.append(context_of(decision))
                continue
            customer = decision.request.customer_id
            known = [
                event for event in events.get(customer, ()) if event.seq <= decision.context_seq
            ]
            state = self._fold.advance(self._fold.empty, known)
            assert state is not None  # the empty state is never ahead of an event
            contexts.append(self._fold.context(customer, state, decision.decided_at))
        return contexts

    def _reads(self, decision: Decision) -> bool:
        """Whether what the decision logged is all that this version reads, with its meaning."""
        if decision.context_schema != self._fold.schema.schema_hash:
            return False
        version = decision.catalogue_version
        if version not in self._readable:
            self._readable[version] = self._covers(version)
        return self._readable[version]

    def _covers(self, version: str) -> bool:
        if version == self._fold.schema.journey.catalogue_version():
            return True
        try:
            logged = Fold(stored_journey(self._log, version), self._fold.schema.table)
        except (NotFound, InvalidInput):
            return False
        if logged.schema.kernel_hash != self._fold.schema.kernel_hash:
            return False
        return _covers(logged.contact_history_rules, self._fold.contact_history_rules)


def _covers(logged: ContactHistoryRules, read: ContactHistoryRules) -> bool:
    """Whether the logged contact history holds all that the other one reads."""
    enough = all(logged.kinds.get(kind, 0) >= kept for kind, kept in read.kinds.items())
    return logged.horizon_s >= read.horizon_s and enough
