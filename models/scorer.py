"""BundleScorer: a bundle bound to a journey, scoring many customers and actions in one call."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.bundle import Bundle
from models.touchpoint import ACTION, action_rows, touchpoint_rows
from models.trees import Trees
from nba.arbitration import NO_ACTION_CODE
from nba.context import Context, ContextSchema, offered_columns
from nba.decision import NO_ACTION, Churn, Reason
from nba.errors import InvalidBundle

REASONS = 3  # contributions named in an answer


class BundleScorer:
    """Implements `nba.arbitration.Scorer`.

    Raises InvalidBundle where the bundle was trained on other columns, or misses a model.
    """

    def __init__(self, bundle: Bundle, schema: ContextSchema) -> None:
        manifest = bundle.manifest
        if manifest.schema_hash != schema.schema_hash:
            raise InvalidBundle(
                f"{bundle.bundle_id}: trained on {manifest.schema_hash}, the journey file gives "
                f"{schema.schema_hash}; train and promote again"
            )
        if bundle.churn is None or bundle.touchpoint is None:
            missing = "; ".join(f"{part}: {why}" for part, why in manifest.missing.items())
            raise InvalidBundle(f"{bundle.bundle_id}: incomplete: {missing}")
        self.bundle_id = bundle.bundle_id
        self.learns_value = manifest.target == "value"
        self._horizon_days = manifest.horizon_days
        self._churn: Trees = bundle.churn
        self._touchpoint: Trees = bundle.touchpoint
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
        blocks = [
            self._rows(context, np.asarray(chosen, dtype=int))
            for context, chosen in zip(contexts, codes, strict=True)
            if len(chosen)
        ]
        return self._touchpoint.predict(np.vstack(blocks)) if blocks else np.empty(0)

    def churn(self, contexts: Sequence[Context]) -> list[Churn]:
        rows = _stack(contexts)
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
        rows = np.vstack(
            [self._rows(c, np.array([code])) for c, code in zip(contexts, codes, strict=True)]
        )
        shares = self._touchpoint.contributions(rows)[:, :-1]
        shares[:, self._action] = shares[:, self._own].sum(axis=1)
        shares[:, self._features] = 0.0
        score = "the value" if self.learns_value else "p_accept"
        return self._reasons(self._touchpoint, rows, shares, codes, score)

    def _rows(self, context: Context, codes: np.ndarray) -> np.ndarray:
        offered = offered_columns(context, self._n_actions)
        offered = np.vstack([offered, [np.nan, 0.0]])[codes]
        repeated = np.broadcast_to(context.values, (len(codes), len(context.values)))
        return touchpoint_rows(repeated, offered, self._actions[codes])

    def _reasons(
        self,
        trees: Trees,
        rows: np.ndarray,
        shares: np.ndarray,
        codes: Sequence[int],
        score: str,
    ) -> list[tuple[Reason, ...]]:
        leading = np.argsort(-np.abs(shares), axis=1, kind="stable")[:, :REASONS]
        return [
            tuple(
                self._reason(trees.columns[at], rows[n, at], shares[n, at], codes[n], score)
                for at in leading[n]
                if shares[n, at] != 0.0
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
            value=None if np.isnan(number) else float(number),
            contribution=float(share),
            text=f"{column} is {known}, which {'raises' if share > 0 else 'lowers'} {score}",
        )


def _is_number(value: object) -> bool:
    return isinstance(value, float | int) and not isinstance(value, bool)


def _stack(contexts: Sequence[Context]) -> np.ndarray:
    return np.vstack([context.values for context in contexts])
