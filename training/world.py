"""World: a simulated retail bank with known truth.

Customers live through visits; a latent emotion accumulates over them, moves what they buy, how
they respond and whether they leave, and is never shown to anybody: a service sees only the events
that an SDK or a back office would send. The structure follows RecSim's long-term satisfaction
(Ie et al. 2019) and KuaiSim (NeurIPS 2023). A world proves that code recovers a known truth; it
is no evidence about real customers.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator

import numpy as np

from training.world_config import (
    DAY_S,
    NO_ACTION,
    Asked,
    Chosen,
    EventJson,
    Nature,
    Policy,
    WorldConfig,
    draw_nature,
)
from training.world_life import Felt, Life
from training.world_people import (
    GOALS,
    LUCK_WIDTH,
    Luck,
    closing_probability,
    draw_person,
    sigmoid,
)
from training.world_visits import VISITS, kind_of_visit

__all__ = [
    "NO_ACTION",
    "Asked",
    "Chosen",
    "EventJson",
    "Felt",
    "Nature",
    "Policy",
    "World",
    "WorldConfig",
]

_HOURS = ((0, 1), (7, 3), (9, 8), (12, 9), (14, 7), (17, 9), (19, 10), (21, 6), (23, 2))
_HOUR_NAMES = tuple((str(hour), float(weight)) for hour, weight in _HOURS)


class World:
    """The bank of one seed. `value_eur`, `felt` and `closed` are the truth about the last play."""

    def __init__(self, config: WorldConfig) -> None:
        self.config = config
        self.nature = draw_nature(config)
        self.value_eur: dict[str, float] = {}  # by customer id: margins less costs and losses
        self.felt: dict[str, list[Felt]] = {}  # by customer id: emotion after each visit
        self.closed: set[str] = set()  # customer ids

    def play(
        self,
        policy: Policy,
        customers: Iterable[int] | None = None,
        *,
        log_decisions: bool = True,
    ) -> Iterator[EventJson]:
        """The events of the customers (numbers from 0; None: all), in time order for each.

        Customers take turns visit by visit, in the order of the clock, so that a policy that
        learns sees the bank as it unfolds. `log_decisions`: emit `Action Decided`, which a
        service in the loop logs itself.
        """
        self.value_eur, self.felt, self.closed = {}, {}, set()
        chosen = range(self.config.customers) if customers is None else customers
        turns: list[tuple[float, int, _Story]] = []
        for index in chosen:
            story = _Story(index, self, policy, log_decisions)
            heapq.heappush(turns, (story.next_s, index, story))
        while turns:
            _, index, story = heapq.heappop(turns)
            story.turn()
            yield from story.life.take_events()
            if story.over:
                self._note(story)
            else:
                heapq.heappush(turns, (story.next_s, index, story))

    def _note(self, story: _Story) -> None:
        customer_id = story.life.person.customer_id
        self.value_eur[customer_id] = story.life.value_eur
        self.felt[customer_id] = story.felt
        if story.life.closed:
            self.closed.add(customer_id)


class _Story:
    """One customer's calendar: planned visits, follow-ups, surveys, and the end."""

    def __init__(self, index: int, world: World, policy: Policy, log_decisions: bool) -> None:
        config, nature = world.config, world.nature
        person = draw_person(index, nature, config)
        self.life = Life(person, nature, config, policy, log_decisions=log_decisions)
        self.felt: list[Felt] = []
        self.over = False
        self._end_s = config.days * DAY_S
        self._closing_s: float | None = None
        self._planned_s = 0.0
        self._rng = np.random.Generator(np.random.Philox(key=(config.seed << 64) + 2 * index + 1))
        self._first = self._draw()
        self.next_s = 60.0 + self._first.uniform("clock") * 3 * 3_600.0
        self._introduced = False

    def turn(self) -> None:
        """Live through the next planned visit and what follows from it."""
        if not self._introduced:
            self._introduce()
            return
        luck, follow_luck = self._draw(), self._draw()
        if luck.happens("goal", 0.08):
            self.life.goal = luck.pick("new_goal", GOALS)
        if self.next_s >= self._end_s or not self._visit_planned(luck):
            self._finish()
            return
        if self.life.mind.issue is not None and luck.happens("follow", 0.45):
            follow_s = self.life.now_s + luck.lognormal("follow_gap", 0.5 * DAY_S, 1.0)
            kind = "contact" if luck.uniform("follow_kind") < 0.85 else "branch"
            if not self._visit(kind, follow_s, follow_luck):
                self._finish()
                return
        self._plan(luck)

    def _introduce(self) -> None:
        life, person = self.life, self.life.person
        self._introduced = True
        life.begin(self.next_s, self._first)
        traits: dict[str, object] = {
            "segment": person.segment,
            "age": person.age,
            "tenure_months": person.tenure_months,
            "monthly_income_eur": person.monthly_income_eur,
            "has_mortgage": person.has_mortgage,
        }
        life.emit("identify", traits, 0.0)
        self._planned_s = self.next_s
        self._plan(self._first)

    def _plan(self, luck: Luck) -> None:
        """The next planned visit: log-normal gap, at an hour of the day people choose."""
        gap_s = luck.lognormal("gap", self.life.person.gap_days * DAY_S, 0.9)
        self._planned_s += max(gap_s, 0.2 * DAY_S)
        if gap_s > 0.5 * DAY_S:
            hour = float(luck.pick("clock", _HOUR_NAMES)) + luck.uniform("minute")
            self._planned_s = self._planned_s // DAY_S * DAY_S + hour * 3_600.0
        self.next_s = self._planned_s = max(self._planned_s, self.life.now_s + 3_600.0)

    def _visit_planned(self, luck: Luck) -> bool:
        kind = kind_of_visit(self.life.goal, self.life.person.segment, luck)
        if kind == "payment":
            notice_s = self.next_s - 3_600.0 * (1.0 + 20.0 * luck.uniform("notice"))
            if self._closing_s is None:
                self.life.begin(max(notice_s, self.life.now_s + 60.0), luck)
                self.life.emit("Payment Notice Sent", {"channel": "mail"}, 0.0)
        return self._visit(kind, self.next_s, luck)

    def _visit(self, kind: str, at_s: float, luck: Luck) -> bool:
        """One visit; False where the customer is gone before it."""
        at_s = max(at_s, self.life.now_s + 60.0)
        if at_s >= self._end_s or (self._closing_s is not None and at_s >= self._closing_s):
            return False
        if self._closing_s is not None:
            self._prepare_to_leave(at_s, luck)
            return True
        life = self.life
        life.begin(at_s, luck)
        valence = min(max(VISITS[kind](life), -1.0), 1.0)
        memory_noise = life.nature.emotion_noise * luck.normal("noise")
        life.mind.feel(valence, life.person, memory_noise)
        self.felt.append(Felt(life.moment(), kind, valence, life.mind.emotion))
        self._show_feelings(kind, valence, luck)
        self._maybe_leave(luck)
        return True

    def _show_feelings(self, kind: str, valence: float, luck: Luck) -> None:
        """What emotion looks like from outside: rage clicks, complaints, surveys; all noisy."""
        life, emotion = self.life, self.life.mind.emotion
        digital = kind in ("web_search", "loan_application", "app_home")
        rage = life.nature.rage_false_share + 0.30 * sigmoid(-2.0 * (emotion + 1.5))
        if digital and luck.happens("rage", rage):
            channel = "app" if kind == "app_home" else "web"
            life.emit("Rage Click", {"channel": channel, "page": kind})
        if valence < 0 and luck.happens("complaint", 0.30 * sigmoid(-2.0 * (emotion + 1.8))):
            topic = life.mind.issue or kind
            life.emit("Complaint Filed", {"channel": "web", "topic": topic}, 1_200.0)
        if luck.happens("leaving", 0.005 + 0.08 * sigmoid(-2.0 * (emotion + 2.0))):
            life.emit("Closing Info Viewed", {"channel": "web"}, 400.0)
        if luck.happens("survey", 0.25 if kind == "contact" else 0.06):
            life.emit("Survey Sent", {"channel": "mail", "kind": "nps"}, 900.0)
            if luck.happens("answer", 0.10 + 0.10 * min(abs(emotion), 2.0)):
                score = round(min(max(7.8 + 1.5 * emotion + 1.2 * luck.normal("score"), 0), 10))
                delay_s = luck.lognormal("answer_delay", 5 * 3_600.0, 1.0)
                properties: dict[str, object] = {"channel": "mail", "kind": "nps", "score": score}
                life.later(delay_s, "Survey Answered", properties, 0.0)

    def _maybe_leave(self, luck: Luck) -> None:
        life = self.life
        chance = closing_probability(
            life.person, life.mind, life.strain(), life.nature, life.config
        )
        if luck.happens("closing", chance):
            self._closing_s = life.now_s + DAY_S * (1.0 + 24.0 * luck.uniform("closing_delay"))

    def _prepare_to_leave(self, at_s: float, luck: Luck) -> None:
        """She has decided: of her usual visits only a look at how to leave remains."""
        if luck.happens("leaving", 0.7):
            self.life.begin(at_s, luck)
            self.life.emit("Closing Info Viewed", {"channel": "web"})

    def _finish(self) -> None:
        """What is still due happens; then the account is closed, or the observation ends."""
        self.over = True
        life = self.life
        if self._closing_s is None or self._closing_s >= self._end_s:
            life.pass_time(self._end_s)
            return
        life.pass_time(self._closing_s)
        life.now_s = max(life.now_s, self._closing_s)
        life.emit("Account Closed", {"channel": "web"}, 0.0)
        life.value_eur -= life.person.closing_loss_eur
        life.closed = True

    def _draw(self) -> Luck:
        return Luck(self._rng.random(LUCK_WIDTH).tolist())
