"""The bundle and the champion on the same decisions: what both would draw, and its evidence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.bundles.bundle import Bundle
from nba.journey.actions import NO_ACTION
from nba.measurement.off_policy.cross_fitting import CrossFitted
from nba.measurement.off_policy.evaluation import PolicyValue, logged_policy_value, policy_values
from nba.measurement.off_policy.logged_decisions import (
    Floats,
    LoggedDecisions,
    answering_decisions,
    immature_refusal,
    logged_decisions,
)
from nba.measurement.off_policy.propensity_audit import DrawProbabilities, draw_probabilities
from nba.measurement.statistics.estimate import Undecided
from nba.stores.log import Log
from training.data.history import History
from training.data.target_policies import Candidates, candidates_of, reward_model
from training.data.training_sets import PastDecisions
from training.gates.served import Chances, ServedBundle, imported_chances, own_chances

NOTHING_LOGGED = "no decision of the test period logged propensity and candidates"


class BundleComparison(NamedTuple):
    """The bundle and the champion on the same n decisions."""

    chosen: NDArray[np.int64]  # (n,) positions among the decided
    evidence: LoggedDecisions
    champion: LoggedDecisions | None  # None: it is compared with what was decided
    acts: Floats  # (n,) probability that the bundle acts at all
    champion_acts: Floats  # the same of what it is compared with
    unanswerable: int  # decisions that the journey file in force cannot be asked for


class JudgedDecisions:
    """The decisions that bundles are evaluated on, with the reward model that they share."""

    def __init__(
        self,
        history: History,
        decided: PastDecisions,
        chosen: NDArray[np.int64],
        drawn: Sequence[Sequence[Chances]],
        immature: int,
        seed: int,
    ) -> None:
        """`drawn`: by bundle, what each of the chosen would have drawn."""
        self._decided, self._seed = decided, seed
        self._chosen, self._drawn = chosen, drawn
        self._young = immature_refusal(immature, int(np.isfinite(decided.propensity).sum()))
        self._candidates: Candidates = candidates_of(
            decided, chosen, history.fold.schema.journey, drawn
        )
        self._model: CrossFitted | None = None
        if len(chosen):
            self._model = reward_model(history, decided, self._candidates, seed)

    def as_drawn(self) -> PolicyValue | Undecided:
        """The logged decisions."""
        refused = self._refused()
        if refused is not None:
            return refused
        (evidence,) = answering_decisions(self._evidence(self._uniform())).policies
        return logged_policy_value(evidence, seed=self._seed)

    def uniform(self) -> PolicyValue | Undecided:
        """Any candidate with equal probability."""
        refused = self._refused()
        if refused is not None:
            return refused
        (evidence,) = answering_decisions(self._evidence(self._uniform())).policies
        return policy_values(evidence, seed=self._seed)["snips"]

    def compared(
        self,
        bundle: Bundle,
        served: ServedBundle | None,
        champion: ServedBundle | None,
        unanswerable: int,
    ) -> BundleComparison | Undecided:
        """The bundle and the champion; without one, what was decided."""
        if served is None:
            return Undecided(reason=bundle.manifest.missing.get("touchpoint", "not in the bundle"))
        refused = self._refused()
        if refused is not None:
            return refused
        target = self._target(0)
        policies = [self._evidence(target)]
        acted = self._decided.actions[self._chosen] != NO_ACTION
        champion_acts = acted.astype(float)
        if champion is not None:
            champion_target = self._target(1)
            policies.append(self._evidence(champion_target))
            champion_acts = self._acts(champion_target)
        rows, policies = answering_decisions(*policies)
        return BundleComparison(
            chosen=self._chosen[rows],
            evidence=policies[0],
            champion=None if champion is None else policies[1],
            acts=self._acts(target)[rows],
            champion_acts=champion_acts[rows],
            unanswerable=unanswerable,
        )

    def _refused(self) -> Undecided | None:
        if len(self._chosen):
            return self._young
        unknown = self._decided.without_propensity
        past = f"; {unknown:,} past decisions without one are learned from, and answer nothing here"
        return Undecided(reason=NOTHING_LOGGED + (past if unknown else ""))

    def _target(self, bundle: int) -> Floats:
        """(k,) the probability of each candidate."""
        flat, drawn = self._candidates, self._drawn[bundle]
        return np.array(
            [drawn[n].get(name, 0.0) for n, name in zip(flat.of.tolist(), flat.names, strict=True)]
        )

    def _acts(self, target: Floats) -> Floats:
        flat = self._candidates
        acting = np.array([name != NO_ACTION for name in flat.names])
        sums = np.bincount(flat.of, weights=target * acting, minlength=len(self._chosen))
        return sums.astype(np.float64)

    def _uniform(self) -> Floats:
        """(k,) of any candidate that was listed, the same."""
        flat = self._candidates
        sizes = np.bincount(flat.of, weights=flat.listed)
        uniform: Floats = flat.listed / sizes[flat.of]
        return uniform

    def _evidence(self, target: Floats) -> LoggedDecisions:
        """The chosen decisions with (k,) probabilities of their candidates."""
        decided, chosen, flat = self._decided, self._chosen, self._candidates
        drawn = [decided.actions[n] for n in chosen[flat.of]]
        same = np.array([name == action for name, action in zip(flat.names, drawn, strict=True)])
        n = len(chosen)
        model = self._model
        return logged_decisions(
            np.bincount(flat.of, weights=target * same, minlength=n),
            decided.propensity[chosen],
            decided.reward_eur[chosen],
            decided.set.customers[chosen].astype(str),
            positive=decided.set.labels[chosen] != 0,
            supported=np.bincount(flat.of, weights=target * flat.possible, minlength=n),
            q_logged=None if model is None else model.logged[chosen],
            q_target=None
            if model is None
            else np.bincount(flat.of, weights=target * model.offered, minlength=n),
            arms=decided.arms[chosen],
            draws=self._draws(),
        )

    def _draws(self) -> DrawProbabilities:
        """Of an imported decision the log has one probability: it is no evidence of the others."""
        actions = self._decided.actions[self._chosen].tolist()
        factors = [self._decided.factors[n] for n in self._chosen.tolist()]
        return draw_probabilities(
            [
                [(name, candidate.propensity) for name, candidate in logged.items()]
                or [(drawn, 1.0)]
                for logged, drawn in zip(factors, actions, strict=True)
            ],
            actions,
        )


def drawn_by(
    history: History,
    log: Log,
    decided: PastDecisions,
    chosen: NDArray[np.int64],
    served: Sequence[ServedBundle],
) -> list[list[Chances | None]]:
    """By bundle what each of the chosen decisions would have drawn, None where it cannot be asked.

    Our own decisions are decided again; imported ones list their candidates.
    """
    if not served:
        return []
    ids = [decided.decision_ids[n] for n in chosen]
    own = [name for name in ids if name is not None and name in history.candidates]
    again = own_chances(history, log, own, served) if own else [{} for _ in served]
    imported = np.array([name not in history.candidates for name in ids], dtype=bool)
    drawn = []
    for policy, chances in zip(served, again, strict=True):
        others = iter(imported_chances(history, decided, chosen[imported], policy))
        drawn.append(
            [
                next(others) if other else chances.get(name or "")
                for name, other in zip(ids, imported.tolist(), strict=True)
            ]
        )
    return drawn
