"""BundleScorer: a bundle bound to a journey, scoring many customers and actions in one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from models.bundles.bundle import Bundle
from models.bundles.fit import check_columns, check_fit
from models.predictors.predictor import Predictor
from models.predictors.touchpoint_columns import ACTION, action_rows
from models.predictors.with_terms import WithTerms, observed_part
from nba.customer.context import OFFERED, Context, ContextSchema, offered_columns
from nba.decisions.candidate import Reason
from nba.decisions.decision import Churn
from nba.engine.policy import NO_ACTION_CODE
from nba.errors import InvalidBundle
from nba.journey.actions import NO_ACTION

REASONS = 3  # contributions named in an answer
ROWS = 8_192  # touchpoint rows in memory at a time, about


class BundleScorer:
    """Implements `nba.engine.scorer.Scorer`.

    Without a churn model nobody's risk is known. Raises InvalidBundle where the bundle was trained
    on other columns or for another target or reward rule, or has no scores of actions.
    """

    def __init__(
        self,
        bundle: Bundle,
        schema: ContextSchema,
        *,
        reasons: bool = True,
        as_logged: bool = False,
    ) -> None:
        """Without `reasons` it scores alone, for simulations that nobody reads. `as_logged`: to
        repeat decisions that are in the log, whatever was asked of the bundle then."""
        manifest = bundle.manifest
        (check_columns if as_logged else check_fit)(bundle, schema)
        if bundle.touchpoint is None:
            why = manifest.missing.get("touchpoint", "not in the bundle")
            raise InvalidBundle(f"{bundle.bundle_id}: incomplete: touchpoint: {why}; train again")
        self.bundle_id = bundle.bundle_id
        self.learns_value = manifest.target == "value"
        self._horizon_days = manifest.horizon_days
        self._explains = reasons
        self.missing: Mapping[str, str] = manifest.missing
        self._churn = bundle.churn
        self._touchpoint: Predictor = bundle.touchpoint
        self._observed = observed_part(bundle.touchpoint)
        whole = bundle.touchpoint
        self._terms = whole.terms if isinstance(whole, WithTerms) else None
        self._schema = schema
        # an action explains itself once: its code and its features are one reason
        columns = bundle.touchpoint.columns
        self._own = [n for n, name in enumerate(columns) if name.split(".")[0] == ACTION]
        self._action = columns.index(ACTION)
        self._features = [n for n in self._own if n != self._action]
        self._n_actions = len(schema.journey.actions)
        self._names = [*(action.id for action in schema.journey.actions), NO_ACTION]
        self._actions = action_rows(schema.journey, manifest.actions, manifest.action_features)

    def touchpoint(self, contexts: Sequence[Context], codes: Sequence[Sequence[int]]) -> np.ndarray:
        return self._by_pages(self._observed, contexts, codes)

    def terms(
        self, contexts: Sequence[Context], codes: Sequence[Sequence[int]]
    ) -> np.ndarray | None:
        return None if self._terms is None else self._by_pages(self._terms, contexts, codes)

    def _by_pages(
        self, model: Predictor, contexts: Sequence[Context], codes: Sequence[Sequence[int]]
    ) -> np.ndarray:
        scores, begin, waiting = [], 0, 0
        for n, chosen in enumerate(codes):
            waiting += len(chosen)
            if waiting >= ROWS:
                scores.append(
                    model.predict(self._rows(contexts[begin : n + 1], codes[begin : n + 1]))
                )
                begin, waiting = n + 1, 0
        scores.append(model.predict(self._rows(contexts[begin:], codes[begin:])))
        return np.concatenate(scores)

    @property
    def knows_churn(self) -> bool:
        return self._churn is not None

    def churn(self, contexts: Sequence[Context]) -> list[Churn]:
        assert self._churn is not None
        rows = _stack(contexts)
        if not self._explains:
            risks = self._churn.predict(rows).tolist()
            return [Churn(risk=risk, horizon_days=self._horizon_days) for risk in risks]
        risks, shares = self._churn.explained(rows)
        codes = [NO_ACTION_CODE] * len(rows)
        whys = self._reasons(self._churn, rows, shares, codes, "the risk")
        return [
            Churn(risk=float(risk), horizon_days=self._horizon_days, reasons=why)
            for risk, why in zip(risks, whys, strict=True)
        ]

    def touchpoint_reasons(
        self, contexts: Sequence[Context], codes: Sequence[int]
    ) -> list[tuple[Reason, ...]]:
        if not self._explains:
            return [()] * len(codes)
        rows = self._rows(contexts, [[code] for code in codes])
        shares = self._touchpoint.contributions(rows)[:, :-1]
        shares[:, self._action] = shares[:, self._own].sum(axis=1)
        shares[:, self._features] = 0.0
        score = "the value" if self.learns_value else "p_accept"
        return self._reasons(self._touchpoint, rows, shares, codes, score)

    def _rows(self, contexts: Sequence[Context], codes: Sequence[Sequence[int]]) -> np.ndarray:
        """(n, n_columns) as `touchpoint_rows`, each row written once."""
        rows = np.empty((sum(map(len, codes)), len(self._touchpoint.columns)))
        own = rows.shape[1] - self._actions.shape[1]
        offered_at = own - len(OFFERED)
        end = 0
        for context, chosen in zip(contexts, codes, strict=True):
            if len(chosen) == 0:
                continue
            at = np.asarray(chosen, dtype=np.int64)
            begin, end = end, end + len(at)
            offered = np.vstack([offered_columns(context, self._n_actions), [np.nan, 0.0]])
            rows[begin:end, :offered_at] = context.values
            rows[begin:end, offered_at:own] = offered[at]
            rows[begin:end, own:] = self._actions[at]
        return rows

    def _reasons(
        self,
        model: Predictor,
        rows: np.ndarray,
        shares: np.ndarray,
        codes: Sequence[int],
        score: str,
    ) -> list[tuple[Reason, ...]]:
        leading = np.argsort(-np.abs(shares), axis=1, kind="stable")[:, :REASONS]
        return [
            tuple(
                self._reason(model.columns[at], rows[n, at], shares[n, at], codes[n], score)
                for at in leading[n]
                if shares[n, at] != 0.0 and np.isfinite(shares[n, at])
            )
            for n in range(len(rows))
        ]

    def _reason(self, column: str, number: float, share: float, code: int, score: str) -> Reason:
        value: object = self._schema.value(column, number)
        if column == ACTION:
            value = self._names[code]
        known = "unknown" if value is None else f"{value:.4g}" if _is_number(value) else value
        return Reason(
            column=column,
            value=float(number) if np.isfinite(number) else None,
            contribution=float(share),
            text=f"{column} is {known}, which {'raises' if share > 0 else 'lowers'} {score}",
        )


def _is_number(value: object) -> bool:
    return isinstance(value, float | int) and not isinstance(value, bool)


def _stack(contexts: Sequence[Context]) -> np.ndarray:
    return np.vstack([context.values for context in contexts])
