"""The credit of one decision, and the sums of credits.

A credit is a value: the same decision and the same events give the same one, whatever their order.
A learner that used it at one position of the log adds the difference at the next.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple, TypeAlias

import msgspec

from nba.events.event import Event
from nba.rewards.validity import Reach, when
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


class _Return(NamedTuple):
    """What a step and those after it are worth."""

    reward: float
    settles_s: float
    closed: bool
    unread: bool
    arrivals: tuple[Arrival, ...]


def carried(
    credits: Sequence[Credit], carry: float, low: float = float("-inf"), high: float = float("inf")
) -> list[Credit]:
    """The credits, in their order, each with its share of what the next step was worth.

    The discounted return of an episode, G_t = R_t + carry G_t+1, kept within `low` and `high`
    (Sutton and Barto, Reinforcement Learning, 2nd edition, 2018, section 3.3). The next step is
    the first later decision that counts, of the same `episode_id`, whose `previous_id` leads here:
    one that does not count is passed over. A credit is complete once the steps after it are.
    """
    if carry == 0.0:
        return list(credits)
    order = sorted(range(len(credits)), key=lambda n: when(credits[n].decision))
    rank = {n: at for at, n in enumerate(order)}
    ids = {n: _text(credits[n].decision, "decision_id") for n in reversed(order)}
    known = {name: n for n, name in ids.items() if name is not None}
    after: dict[int, list[int]] = defaultdict(list)
    for n in order:
        before = known.get(_text(credits[n].decision, "previous_id") or "")
        if before is not None and rank[before] < rank[n] and _is_same_episode(credits, before, n):
            after[before].append(n)
    returns: dict[int, _Return | None] = {}  # None: nothing that counts from here on
    carried_back = list(credits)
    for n in reversed(order):
        credit = credits[n]
        following = next((returns[step] for step in after[n] if returns[step] is not None), None)
        if not credit.counted:
            returns[n] = following
            continue
        own = _Return(
            reward=credit.reward,
            settles_s=credit.settles_s,
            closed=credit.closed,
            unread=credit.unread,
            arrivals=credit.arrivals,
        )
        if following is not None:
            own = _Return(
                reward=min(max(credit.reward + carry * following.reward, low), high),
                settles_s=max(credit.settles_s, following.settles_s),
                closed=credit.closed and following.closed,
                unread=credit.unread or following.unread,
                arrivals=(
                    *credit.arrivals,
                    *(Arrival(one.at_s, carry * one.amount) for one in following.arrivals),
                ),
            )
        returns[n] = own
        carried_back[n] = credit._replace(**own._asdict())
    return carried_back


def _is_same_episode(credits: Sequence[Credit], before: int, after: int) -> bool:
    episode = _text(credits[before].decision, "episode_id")
    return episode is not None and episode == _text(credits[after].decision, "episode_id")


def _text(event: Event, name: str) -> str | None:
    value = event.properties.get(name)
    return value if isinstance(value, str) and value else None
