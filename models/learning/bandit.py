"""A bandit in one object: a policy over a residual, for direct use, tests and benchmarks."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from models.residual.features import ResidualSpec
from models.residual.posterior import ResidualPosterior, ResidualPrior, fit_prior
from models.residual.sums import Codes, ResidualSums
from nba.engine.policy import Choice, Floats, Policy, Worth, choose, mixed

GROWTH = 1.05  # a snapshot is renewed when this much more was learned, and
PRIOR_GROWTH = 1.5  # the prior when this much more was


class Bandit:
    """Chooses by a snapshot of the posterior, and learns into the sums.

    The service holds the same parts apart: sums where it learns, a posterior where it decides.
    `floor` is the share of the draw that is uniform over the candidates.
    """

    def __init__(
        self,
        spec: ResidualSpec,
        actions: Sequence[str],
        policy: Policy,
        *,
        floor: float = 0.0,
        refresh_every: int = 100,
        new: Collection[int] = (),
    ) -> None:
        """`refresh_every`: the most exposures between two snapshots.

        `new`: as of `ResidualPosterior`.
        """
        self.policy = policy
        self.floor = floor
        self.refresh_every = refresh_every
        self.new = new
        self.sums = ResidualSums(spec, actions)
        self.prior = ResidualPrior()
        self._fitted_at = 0.0
        self._refresh_at = 0.0
        self._posterior: ResidualPosterior | None = None

    def worth(
        self,
        values: Floats,
        codes: Codes,
        p0: Floats,
        *,
        gain_eur: Floats | None = None,
        as_of_s: float = 0.0,
    ) -> Worth:
        """The candidates of one decision: (c,) context values, (n,) codes and batch scores.

        Without `gain_eur` a candidate is worth its score itself.
        """
        posterior = self.posterior(as_of_s)
        x = posterior.spec.features(values[None], p0)
        mean, spread = posterior.correct(x, codes, p0)
        gain = np.ones(len(codes)) if gain_eur is None else gain_eur
        return Worth(codes, mean * gain, spread * np.abs(gain), gain, posterior.exposures)

    def probabilities(self, worth: Worth) -> Floats:
        """(n,) with which the candidates are drawn, the floor included."""
        drawn = self.policy.probabilities(worth)
        return mixed(drawn, floor=self.floor, challenger=None, share=0.0)

    def choose(
        self,
        values: Floats,
        codes: Codes,
        p0: Floats,
        rng: np.random.Generator,
        *,
        gain_eur: Floats | None = None,
        as_of_s: float = 0.0,
    ) -> Choice:
        """A candidate drawn; arguments as of `worth`."""
        worth = self.worth(values, codes, p0, gain_eur=gain_eur, as_of_s=as_of_s)
        return choose(self.probabilities(worth), rng)

    def expose(self, values: Floats, codes: Codes, p0: Floats, at_s: Floats, sign: int = 1) -> None:
        """Decisions made: (n, c) context values, and (n,) of what was drawn, as `ResidualSums`."""
        self.sums.expose(self.sums.spec.features(values, p0), codes, p0, at_s, sign)

    def reward(
        self,
        values: Floats,
        codes: Codes,
        p0: Floats,
        reward: Floats,
        at_s: Floats,
        sign: int = 1,
    ) -> None:
        """Rewards of decisions that were exposed at `at_s`, as `ResidualSums.reward`."""
        self.sums.reward(self.sums.spec.features(values, p0), codes, p0, reward, at_s, sign)

    def learn(self, values: Floats, codes: Codes, p0: Floats, reward: Floats, at_s: Floats) -> None:
        """Exposures and their rewards at once."""
        x = self.sums.spec.features(values, p0)
        self.sums.expose(x, codes, p0, at_s)
        self.sums.reward(x, codes, p0, reward, at_s)

    def posterior(self, as_of_s: float = 0.0) -> ResidualPosterior:
        """The snapshot in force, renewed where enough was learned since."""
        exposures = self.sums.exposures
        if self._posterior is None or exposures >= self._refresh_at:
            self.refresh(as_of_s)
        assert self._posterior is not None
        return self._posterior

    def refresh(self, as_of_s: float = 0.0) -> None:
        """A new snapshot of all that was learned, with a new prior where that grew by much."""
        exposures = self.sums.exposures
        if exposures >= PRIOR_GROWTH * self._fitted_at and exposures > 0:
            self.prior = fit_prior(self.sums, as_of_s, self.prior)
            self._fitted_at = exposures
        self._posterior = ResidualPosterior.of(self.sums, self.prior, as_of_s, self.new)
        self._refresh_at = min(exposures * GROWTH, exposures + self.refresh_every - 1)
        self._refresh_at = max(self._refresh_at, exposures + 0.5)
