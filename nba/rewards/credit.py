"""The credit of one decision, and the sums of credits.

A credit is a value: the same decision and the same events give the same one, whatever their order.
A learner that used it at one position of the log adds the difference at the next.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import takewhile
from math import fsum, inf
from typing import Literal, NamedTuple, TypeAlias

import msgspec

from nba.events.event import Event
from nba.rewards.validity import Reach, at_s, when
from nba.rewards.windows import Arrival

State: TypeAlias = Literal["learned", "default", "deferred", "rejected"]


class Credit(NamedTuple):
    """What came of one decision, as far as the events and the clock tell."""

    decision: Event  # its `Action Decided`
    reach: Reach
    since_s: float  # when it reached the customer, seconds since 1970 UTC; made, where it did not
    closes_s: float  # until when its customer's events count; infinite where none do
    settles_s: float  # when its reward is known, whatever was drawn; infinite where it never is
    closed: bool  # that time has come
    answered: bool  # something came in it; False: silence, worth the default
    earned: float  # before terms and bounds
    reward: float  # what is learned: so far, where it is not complete; 0 where it does not count
    unread: bool  # terms of the reward wait for what is known at the close
    outcomes: int  # events in the window that made the reward
    late: int  # outcomes that name it and came after the window: they change nothing
    unreadable: int  # stated rewards that are no number
    arrivals: tuple[Arrival, ...] = ()  # in what parts the reward came; together they make it

    @property
    def counted(self) -> bool:
        """Whether it is a decision: all that has an action counts, whatever was drawn."""
        return self.reach != "malformed"

    @property
    def reached(self) -> bool:
        """Whether it reached the customer, as far as is known, or left them in peace."""
        return self.reach == "reached"

    @property
    def complete(self) -> bool:
        """Whether the reward is what it will be, stragglers from within the window aside."""
        return self.counted and self.closed and not self.unread

    @property
    def state(self) -> State:
        """Where it stands in `SettledCounts`."""
        if not self.counted:
            return "rejected"
        if not self.complete:
            return "deferred"
        return "learned" if self.answered else "default"


class Reading(NamedTuple):
    """A customer at one moment; NaN where unknown."""

    churn_risk: float
    emotion: float  # the sum over the last nodes, such as `emotion.sum10`


class Readings(NamedTuple):
    """A customer when it was decided, and when the window closed; both risks by one model."""

    decided: Reading
    closed: Reading


class SettledCounts(msgspec.Struct, frozen=True, kw_only=True):
    """What became of decisions: decided = learned + default + deferred + rejected."""

    decided: int = 0
    learned: int = 0  # something came in the window
    default: int = 0  # silence: the default reward
    deferred: int = 0  # the window is open, or a term is not known yet
    rejected: int = 0  # they name no action
    outcomes: int = 0  # events that made a reward
    late: int = 0  # outcomes after the window
    unreadable: int = 0  # stated rewards that are no number

    @property
    def difference(self) -> int:
        """Decisions that got lost on the way: 0."""
        return self.decided - self.learned - self.default - self.deferred - self.rejected

    def __add__(self, other: SettledCounts) -> SettledCounts:
        return _combined(self, other, 1)

    def __sub__(self, other: SettledCounts) -> SettledCounts:
        """What has changed since `other`."""
        return _combined(self, other, -1)


def _combined(counts: SettledCounts, other: SettledCounts, sign: int) -> SettledCounts:
    names = SettledCounts.__struct_fields__
    return SettledCounts(**{n: getattr(counts, n) + sign * getattr(other, n) for n in names})


def settled_counts(credits: Iterable[Credit]) -> SettledCounts:
    """The counts of these credits."""
    counts: dict[str, int] = defaultdict(int)
    for credit in credits:
        counts["decided"] += 1
        counts[credit.state] += 1
        counts["outcomes"] += credit.outcomes
        counts["late"] += credit.late
        counts["unreadable"] += credit.unreadable
    return SettledCounts(**counts)


class Carry(NamedTuple):
    """What the steps of a passage are given of those after them."""

    share: float  # of the next step's reward
    longer_s: float  # for how long after its own reward is known a step is given any
    low: float = -inf  # of what is carried
    high: float = inf


def carried(credits: Sequence[Credit], carry: Carry, end_s: float) -> list[Credit]:
    """The credits, in their order, each with its share of what the next step was worth.

    The discounted return of an episode, G_t = R_t + share G_t+1, kept within bounds (Sutton and
    Barto, Reinforcement Learning, 2nd edition, 2018, section 3.3), of what has come until a time
    that is fixed when the step is decided: when its own reward is known, and `longer_s` after.
    Were it known once the steps after it are, those would be learned from sooner after which none
    comes, and whether one comes depends on what was drawn. The next step is the first later
    decision that counts, of the same `episode_id`, whose `previous_id` leads here: one that does
    not count is passed over. `end_s`: until when the log is known, seconds since 1970 UTC.
    """
    if carry.share == 0.0:
        return list(credits)
    following = _following(credits)
    return [
        _with_later_steps(credit, _chain(credits, following, n), carry, end_s)
        if credit.counted and _text(credit.decision, "episode_id")
        else credit
        for n, credit in enumerate(credits)
    ]


def _following(credits: Sequence[Credit]) -> dict[int, list[int]]:
    """The decisions that lead back to each one, in order of time."""
    order = sorted(range(len(credits)), key=lambda n: when(credits[n].decision))
    rank = {n: at for at, n in enumerate(order)}
    ids = {n: _text(credits[n].decision, "decision_id") for n in reversed(order)}
    known = {name: n for n, name in ids.items() if name is not None}
    after: dict[int, list[int]] = defaultdict(list)
    for n in order:
        before = known.get(_text(credits[n].decision, "previous_id") or "")
        if before is not None and rank[before] < rank[n] and _is_same_episode(credits, before, n):
            after[before].append(n)
    return after


def _chain(
    credits: Sequence[Credit], following: Mapping[int, Sequence[int]], begin: int
) -> Iterator[Credit]:
    """The steps after one, each the next of the one before it."""
    ahead = list(reversed(following.get(begin, ())))
    while ahead:
        step = ahead.pop()
        if credits[step].counted:
            yield credits[step]
            ahead.clear()
        ahead += reversed(following.get(step, ()))


def _with_later_steps(
    credit: Credit, steps: Iterator[Credit], carry: Carry, end_s: float
) -> Credit:
    settles_s = credit.settles_s + carry.longer_s
    in_time = list(takewhile(lambda step: at_s(step.decision) <= settles_s, steps))

    def kept(reward: float) -> float:
        return min(max(reward, carry.low), carry.high)

    worth = 0.0
    for step in reversed(in_time):
        reward = step.reward
        if step.settles_s > settles_s:  # as it stands by then, before its terms
            later = fsum(one.amount for one in step.arrivals if one.at_s > settles_s)
            reward = kept(step.earned) - later
        worth = kept(reward + carry.share * worth)
    arrivals = [
        Arrival(one.at_s, carry.share**n * one.amount)
        for n, step in enumerate((credit, *in_time))
        for one in step.arrivals
        if one.at_s <= settles_s
    ]
    return credit._replace(
        reward=kept(credit.reward + carry.share * worth),
        settles_s=settles_s,
        closed=settles_s <= end_s,
        unread=credit.unread or any(s.unread for s in in_time if s.settles_s <= settles_s),
        arrivals=tuple(arrivals),
    )


def _is_same_episode(credits: Sequence[Credit], before: int, after: int) -> bool:
    episode = _text(credits[before].decision, "episode_id")
    return episode is not None and episode == _text(credits[after].decision, "episode_id")


def _text(event: Event, name: str) -> str | None:
    value = event.properties.get(name)
    return value if isinstance(value, str) and value else None
