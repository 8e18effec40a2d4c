"""Visits: the nodes of a log with what came of each, read from the events alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from features.nodes import NodeTable, read_nodes
from features.plan import stage_codes
from nba.context import DAY_S
from nba.journey import JourneyFile
from nba.measurement.friction import Visits
from nba.signals import SURVEYS
from training.dataset import activity
from training.history import History


@dataclass(frozen=True, slots=True, eq=False)
class Followed:
    """The nodes whose outcome is known, with it.

    `table`: every node. `kept`: (n,) positions in it, sorted by (customer, time). `episodes`:
    (n,) codes; a customer who came back after she was lost is another episode. `lost`: (n,)
    whether she left after this node and before any other.
    """

    table: NodeTable
    kept: np.ndarray
    episodes: np.ndarray
    lost: np.ndarray

    def visits(self, journey: JourneyFile) -> Visits:
        """As the friction report takes them."""
        nodes = self.table.nodes[self.kept]
        return Visits(
            customers=self.episodes,
            valences=nodes["valence"],
            stages=stage_codes(journey)[nodes["touchpoint"]],
            lost=self.lost,
        )


def visits_of(history: History) -> Visits:
    """Every visit of the log, and after which of them customers left."""
    return follow(history).visits(history.fold.schema.journey)


def follow(history: History) -> Followed:
    """The nodes of the log and their outcomes.

    Left out are nodes at the touchpoints of stages in which the relationship ends, survey answers
    (they measure, they are no visit), and a last node whose outcome lies beyond the log's end.
    """
    journey = history.fold.schema.journey
    table = read_nodes(history.fold, history.rows, history.end_s)
    times, left = activity(history, journey.churn)
    horizon_s = journey.churn.horizon_days * DAY_S
    usual = np.flatnonzero(_is_visit(history, table))
    nodes = table.nodes[usual]
    names = history.rows.customers
    last = np.append(nodes["customer"][1:] != nodes["customer"][:-1], True)
    following = np.where(last, np.inf, np.append(nodes["time"][1:], np.inf))
    lost = np.zeros(len(nodes), dtype=bool)
    known = np.ones(len(nodes), dtype=bool)
    for at in range(len(nodes)):
        customer, time = str(names[nodes["customer"][at]]), nodes["time"][at]
        if journey.churn.event is not None:
            gone = left.get(customer, np.inf)
            known[at] = time < gone
            nothing_between = following[at] >= gone
            lost[at] = nothing_between and gone <= time + horizon_s
            if last[at] and not lost[at]:
                known[at] &= time + horizon_s <= history.end_s
        else:
            own = times.get(customer, np.empty(0))
            after = int(np.searchsorted(own, time, side="right"))
            back = own[after] if after < len(own) else np.inf
            lost[at] = min(back, following[at]) > time + horizon_s
            known[at] = time + horizon_s <= history.end_s or following[at] < np.inf
    codes = nodes["customer"].astype(np.int64)
    started = np.append(True, (codes[1:] != codes[:-1]) | lost[:-1])
    episodes = np.cumsum(started) - 1
    return Followed(table, usual[known], episodes[known].astype(np.int64), lost[known])


def _is_visit(history: History, table: NodeTable) -> np.ndarray:
    """(n_nodes,) neither where the relationship ends nor made of survey answers alone."""
    schema = history.fold.schema
    ends = {
        touchpoint.id
        for _, _, stage in schema.journey.stages()
        if stage.leaving
        for touchpoint in stage.touchpoints
    }
    touchpoints = schema.journey.touchpoints()
    leaving = np.array([touchpoint.id in ends for touchpoint in touchpoints])
    roles = {mapping.id: mapping.role for mapping in schema.journey.events}
    answers = np.array([roles.get(kind) in SURVEYS for kind in schema.kinds])
    silence = np.array([kind == "survey_unanswered" for kind in schema.kinds])
    invitation = np.array([roles.get(kind) == "survey_sent" for kind in schema.kinds])
    measured = (answers | silence | invitation)[table.parts["kind"]]
    other = np.zeros(len(table.nodes), dtype=bool)
    inside = table.node_of >= 0
    np.logical_or.at(other, table.node_of[inside], ~measured[inside])
    return np.asarray(other & ~leaving[table.nodes["touchpoint"]])
