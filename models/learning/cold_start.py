"""Cold start: what the guesses are told of the log, before anything is trained.

The first bundle of guesses knows no customer. As soon as there are FIRST decisions to learn from,
and whenever they have doubled, another takes its place: its residual reads the columns of the
context that tell most of the rewards so far, and its risk of leaving is the share of those who
left. The learner then reads the log anew, so that nothing that was learned is lost.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from datetime import datetime

import numpy as np

from models.bundles.prior import Seen, is_prior, prior_bundle, seen_decisions
from models.bundles.scorer import BundleScorer
from models.learning.residual_rows import LearningTarget
from models.residual.features import known_means
from nba.decisions.decision import Decision, Mode
from nba.durations import DAY_S
from nba.engine.policy import Floats
from nba.engine.redecision import context_of
from nba.events.event import Event, micros
from nba.journey.actions import NO_ACTION
from nba.rewards.isolation import credits_and_failures
from nba.stores.log import Log

FIRST = 100  # decisions to learn from, before columns are chosen
MOST = 4_000  # decisions that are looked at, the newest
COLUMNS, OF_A_KIND = 24, 3  # that the residual reads: at most, and of one kind of event
FEWEST = 15  # decisions for an action, before it tells of columns
PAGE = 1_000
PRIOR_RISK = 0.05  # of leaving within the horizon, worth one customer who left


def next_target(
    log: Log, target: LearningTarget, exposures: float, now: datetime
) -> LearningTarget | None:
    """The target with a bundle of guesses that knows the log of now; None where a bundle was
    trained, or too little has come since the last one. Raises StoreUnavailable."""
    if not is_prior(target.bundle):
        return None
    if exposures < max(FIRST, 2.0 * seen_decisions(target.bundle)):
        return None
    bundle = prior_bundle(target.schema, _seen(log, target, int(exposures), now))
    log.save_bundle(bundle.bundle_id, bundle.files())
    return target._replace(bundle=bundle, scorer=BundleScorer(bundle, target.schema))


def _seen(log: Log, target: LearningTarget, exposures: int, now: datetime) -> Seen:
    schema, value = target.schema, target.scorer.learns_value
    decisions = [
        one
        for one in _newest(log)
        if one.mode is Mode.LIVE
        and one.context_schema == schema.schema_hash
        and (value or one.action_id != NO_ACTION)
    ]
    values = np.array([context_of(one).values for one in decisions])
    customers = dict.fromkeys(one.request.customer_id for one in decisions)
    histories = log.events_since(dict.fromkeys(customers, 0))
    events = [event for own in histories.values() for event in own]
    credits, _ = credits_and_failures(target.attribution, events, micros(now) / 1e6)
    rewards = {credit.decision.decision_id: credit.reward for credit in credits}
    came = np.array([rewards.get(one.decision_id, 0.0) for one in decisions])
    actions = np.array([one.action_id for one in decisions])
    columns = telling_columns(schema.columns, values, actions, came)
    chosen = values[:, [schema.index[name] for name in columns]]
    return Seen(
        decisions=exposures,
        columns=tuple(columns),
        values=chosen,
        risk=_risk(target, histories.values(), now),
    )


def _newest(log: Log) -> deque[Decision]:
    found: deque[Decision] = deque(maxlen=MOST)
    after = 0
    while page := log.page_decisions(after, PAGE):
        found.extend(decision for _, decision in page)
        after = page[-1][0]
    return found


def telling_columns(
    names: Iterable[str], values: Floats, actions: np.ndarray, rewards: Floats
) -> list[str]:
    """The columns that tell most of the rewards, in the order of the context.

    `values`: (n, c); `actions`, `rewards`: (n,). Of each action's rewards the squared correlation
    with a column counts as often as it was taken, less what chance alone gives (Fan and Lv, Sure
    independence screening, JRSS B 2008).
    """
    telling = np.zeros(values.shape[1])
    for action in sorted(set(actions.tolist())):
        some = actions == action
        if np.count_nonzero(some) < FEWEST or rewards[some].std() == 0.0:
            continue
        x = values[some]
        x = np.where(np.isnan(x), known_means(x), x)
        spread = x.std(axis=0)
        y = rewards[some] - rewards[some].mean()
        with np.errstate(invalid="ignore", divide="ignore"):
            r = ((x - x.mean(axis=0)) * y[:, None]).mean(axis=0) / (spread * y.std())
        telling += np.nan_to_num(np.maximum(len(y) * r**2 - 1.0, 0.0), posinf=0.0)
    listed, of_kind = list(names), Counter[str]()
    chosen: set[str] = set()
    for at in np.argsort(-telling, kind="stable").tolist():
        kind = listed[at].rpartition(".")[0]
        if telling[at] <= 0.0 or len(chosen) == COLUMNS:
            break
        if kind == "traits" or of_kind[kind] < OF_A_KIND:
            of_kind[kind] += 1
            chosen.add(listed[at])
    return [name for name in listed if name in chosen]


def _risk(target: LearningTarget, histories: Iterable[list[Event]], now: datetime) -> float | None:
    """The share who leave within the horizon, by those who left; None where leaving is silence."""
    rule, kind_of = target.schema.journey.churn, target.attribution.kind_of
    if rule.event is None:
        return None
    left, days = 1.0, rule.horizon_days / PRIOR_RISK
    for own in histories:
        times = [micros(event.occurred_at) / 1e6 for event in own]
        ends = [at for at, event in zip(times, own, strict=True) if kind_of(event) == rule.event]
        end_s = min(ends, default=micros(now) / 1e6)
        left += bool(ends)
        days += max(end_s - min(times), 0.0) / DAY_S
    return float(-np.expm1(-left / days * rule.horizon_days))
