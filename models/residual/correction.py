"""The residual of one version, as it corrects the scores of the bundle."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.residual.discount import CountedSums
from models.residual.posterior import ResidualPosterior, ResidualPrior
from models.residual.sums import ResidualSums
from models.residual.version import PolicyState
from models.residual.warm_start import WarmStart
from nba.customer.context import Context, ContextSchema
from nba.engine.policy import NO_ACTION_CODE, Floats
from nba.errors import InvalidBundle


class OnlineResidual:
    """Implements `nba.engine.scorer.Residual` for one version and one journey."""

    def __init__(
        self,
        *,
        version: str,
        sums: ResidualSums | CountedSums,
        prior: ResidualPrior,
        as_of_s: float,
        schema: ContextSchema,
        trained: Sequence[str],
    ) -> None:
        """`trained`: the action ids that the batch model has seen.

        Raises InvalidBundle where the version reads columns that the journey does not have.
        """
        spec = sums.spec
        absent = [name for name in spec.columns if name not in schema.index]
        if absent:
            raise InvalidBundle(f"{version}: column {absent[0]!r} is not in the context")
        actions = [action.id for action in schema.journey.actions]
        known = set(trained)
        new = [code for code, action in enumerate(actions) if action not in known]
        sums = sums.for_actions(actions)
        self.version = version
        self.exposures = sums.exposures
        self._spec = spec
        self._columns = [schema.index[name] for name in spec.columns]
        self._posterior = ResidualPosterior.of(sums, prior, as_of_s, new)

    def correct(
        self, contexts: Sequence[Context], codes: Sequence[Sequence[int]], scores: Floats
    ) -> tuple[Floats, Floats]:
        all_codes = np.array([code for of_one in codes for code in of_one], dtype=np.int64)
        if len(all_codes) == 0:
            return scores, np.zeros(0)
        of_contexts = np.array([context.values[self._columns] for context in contexts])
        values = np.repeat(of_contexts, [len(of_one) for of_one in codes], axis=0)
        assert NO_ACTION_CODE == -1  # the last row of the sums
        return self._posterior.correct(self._spec.features(values, scores), all_codes, scores)


def residual_of_version(
    state: PolicyState, schema: ContextSchema, trained: Sequence[str]
) -> OnlineResidual:
    """The residual of a version of the policy. Raises InvalidBundle."""
    return OnlineResidual(
        version=state.version,
        sums=state.counted,
        prior=state.head.prior,
        as_of_s=state.head.as_of_s,
        schema=schema,
        trained=trained,
    )


def residual_of_warm_start(
    warm_start: WarmStart, schema: ContextSchema, trained: Sequence[str]
) -> OnlineResidual:
    """The residual that a bundle brings from its own training. Raises InvalidBundle."""
    return OnlineResidual(
        version=warm_start.version,
        sums=warm_start.sums,
        prior=warm_start.prior,
        as_of_s=warm_start.settled_s,
        schema=schema,
        trained=trained,
    )
