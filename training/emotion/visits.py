"""Visits: the nodes of a log put together, with what came of each, read from the events alone."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from features.kernel.plan import stage_codes
from features.replay.visits import NodeTable, read_nodes
from nba.analytics.journeys.friction import Visits
from nba.durations import DAY_S
from nba.events.signals import SURVEYS
from nba.journey.map import NODE_MINUTES
from training.data.history import History
from training.data.training_sets import activity

PAUSE_S = NODE_MINUTES * 60.0  # nodes that follow within it are one visit


@dataclass(frozen=True, slots=True, eq=False)
class FollowedVisits:
    """n visits whose outcome is known, sorted by (customer, time).

    `visit_of`: (n_parts,) the visit of each part of `table`, -1 for none. `customers`: (n,)
    positions in `EncodedLog.customers`. `times`: (n,) their starts, seconds since 1970 UTC.
    `stages`: (n,) codes of the first node's. `valences`: (n,) -1 to 1. `episodes`: (n,) codes; a
    customer who came back after being lost is another episode. `lost`: (n,) whether the customer
    left after this visit and before any other.
    """

    table: NodeTable
    visit_of: np.ndarray
    customers: np.ndarray
    times: np.ndarray
    stages: np.ndarray
    valences: np.ndarray
    episodes: np.ndarray
    lost: np.ndarray

    def visits(self) -> Visits:
        """As the friction report takes them."""
        return Visits(
            customers=self.episodes,
            valences=self.valences,
            stages=self.stages,
            lost=self.lost,
        )

    def felt_as(self, part_valences: np.ndarray) -> FollowedVisits:
        """The same visits with other valences (n_parts,) of their parts."""
        inside = self.visit_of >= 0
        summed = np.bincount(
            self.visit_of[inside], part_valences[inside], minlength=len(self.valences)
        )
        return replace(self, valences=np.clip(summed, -1.0, 1.0))


def follow(history: History) -> FollowedVisits:
    """The visits of the log and their outcomes.

    A visit is a chain of nodes with pauses of at most 30 minutes. No visits are: what happens at
    the touchpoints of stages in which the relationship ends, what is sent to a customer at a
    physical touchpoint, survey answers (they measure), and a last visit whose outcome lies beyond
    the log's end.
    """
    table = read_nodes(history.fold, history.rows, history.end_s)
    usual = np.flatnonzero(_is_visit(history, table))
    nodes = table.nodes[usual]
    same = nodes["customer"][1:] == nodes["customer"][:-1]
    starts = np.append(True, ~(same & (np.diff(nodes["time"]) <= PAUSE_S)))[: len(nodes)]
    visit = np.cumsum(starts) - 1
    first = np.flatnonzero(starts)
    customers, times = nodes["customer"][first].astype(np.int64), nodes["time"][first]
    lost, known = _outcomes(history, customers, times, _ends(nodes["time"], first))
    begun = np.append(True, (customers[1:] != customers[:-1]) | lost[:-1])[: len(first)]
    episodes = np.cumsum(begun) - 1

    numbers = np.where(known, np.cumsum(known) - 1, -1)
    of_node = np.full(len(table.nodes) + 1, -1)  # the last: parts without a node
    of_node[usual] = numbers[visit]
    followed = FollowedVisits(
        table=table,
        visit_of=of_node[table.node_of],
        customers=customers[known],
        times=times[known],
        stages=stage_codes(history.fold.schema.journey)[nodes["touchpoint"][first]][known],
        valences=np.zeros(int(known.sum())),
        episodes=episodes[known].astype(np.int64),
        lost=lost[known],
    )
    return followed.felt_as(table.parts["valence"])


def _ends(times: np.ndarray, first: np.ndarray) -> np.ndarray:
    """(n_visits,) the start of each visit's last node."""
    last = np.append(first[1:], len(times))[: len(first)] - 1
    return np.asarray(times[last])


def _outcomes(
    history: History, customers: np.ndarray, times: np.ndarray, ends: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(lost, known) of each visit, by the journey's churn rule."""
    rule = history.fold.schema.journey.churn
    active, left = activity(history, rule)
    horizon_s = rule.horizon_days * DAY_S
    names = history.rows.customers
    lost, known = np.zeros(len(times), dtype=bool), np.ones(len(times), dtype=bool)
    for at in range(len(times)):
        another = at + 1 < len(times) and customers[at + 1] == customers[at]
        following = times[at + 1] if another else np.inf
        customer = str(names[customers[at]])
        if rule.event is not None:
            left_at = left.get(customer, np.inf)
            known[at] = times[at] < left_at and (
                another or left_at < np.inf or ends[at] + horizon_s <= history.end_s
            )
            lost[at] = following >= left_at and left_at <= ends[at] + horizon_s
        else:
            own = active.get(customer, np.empty(0))
            after = int(np.searchsorted(own, ends[at], side="right"))
            back = own[after] if after < len(own) else np.inf
            known[at] = another or ends[at] + horizon_s <= history.end_s
            lost[at] = known[at] and min(back, following) > ends[at] + horizon_s
    return lost, known


def _is_visit(history: History, table: NodeTable) -> np.ndarray:
    """(n_nodes,) whether a node is (part of) a visit."""
    schema = history.fold.schema
    leaving = {
        touchpoint.id
        for _, _, stage in schema.journey.stages()
        if stage.leaving
        for touchpoint in stage.touchpoints
    }
    online = np.array(
        [t.kind != "physical" and t.id not in leaving for t in schema.journey.touchpoints()]
    )
    roles = {mapping.id: mapping.role for mapping in schema.journey.events}
    measuring = {"survey_sent", *SURVEYS}
    measured = np.array([roles.get(kind) in measuring or kind == "survey_unanswered"
                         for kind in schema.kinds])  # fmt: skip
    visited = np.zeros(len(table.nodes), dtype=bool)
    inside = table.node_of >= 0
    own = ~measured[table.parts["kind"]]
    visited[table.node_of[inside & own]] = True
    return np.asarray(visited & online[table.nodes["touchpoint"]])
