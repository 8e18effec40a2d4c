"""Check an experiment against the journey file and the experiments that run beside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from nba.errors import InvalidInput, did_you_mean
from nba.experiments.experiment import ArmSpec, Experiment, MetricSpec, Started
from nba.governance.reason_codes import RULE_KINDS
from nba.governance.rule_ablation import rule_parts
from nba.journey.actions import NO_ACTION
from nba.journey.file import JourneyFile
from nba.journey_file.reference_checks import duplicate_id_errors, id_list_errors, unknown_id_errors


def check_experiment(experiment: Experiment, journey: JourneyFile) -> Iterator[InvalidInput]:
    """Every error of an experiment whose fields are right one by one, with its path."""
    yield from duplicate_id_errors((arm.id, f"arms[{n}]") for n, arm in enumerate(experiment.arms))
    if experiment.allocation == "bandit":
        yield from _bandit_errors(experiment, journey)
    else:
        yield from _share_errors(experiment)
        kinds = {part.id: part.kind for part in rule_parts(journey)}
        for n, arm in enumerate(experiment.arms):
            yield from _arm_errors(f"arms[{n}]", arm, journey, kinds)
        yield from _same_errors(experiment)
    yield from _metric_errors(experiment, journey)
    if experiment.analysis == "fixed" and experiment.customers is None:
        remedy = "say after how many: nba experiment plan computes it"
        yield InvalidInput("customers", None, remedy)


def check_beside(experiment: Experiment, started: Sequence[Started]) -> Iterator[InvalidInput]:
    """What stands against starting it beside those that run, room in its layer aside."""
    if any(running.experiment.id == experiment.id for running in started):
        remedy = "an experiment of this id was started before; its labels are in the log"
        yield InvalidInput("id", experiment.id, f"{remedy}, choose another id")
    salt = experiment.salt or experiment.id
    for beside in (running.experiment for running in started if running.running):
        if beside.allocation == "bandit" or experiment.allocation == "bandit":
            continue
        if (beside.salt or beside.id) == salt and beside.id != experiment.id:
            remedy = f"{beside.id} draws its arms by it: the two would not be independent"
            yield InvalidInput("salt", salt, remedy)
        shared = sorted(experiment.touches() & beside.touches())
        if shared and beside.layer != experiment.layer:
            remedy = (
                f"{beside.id} in layer {beside.layer} changes {', '.join(shared)} too: run them in "
                "one layer, or one after the other"
            )
            yield InvalidInput("layer", experiment.layer, remedy)


def _share_errors(experiment: Experiment) -> Iterator[InvalidInput]:
    for n, arm in enumerate(experiment.arms):
        if arm.share == 0.0:
            yield InvalidInput(f"arms[{n}].share", arm.share, "write a number above 0, at most 1")
        if arm.action is not None:
            remedy = "an action is an arm with allocation: bandit alone"
            yield InvalidInput(f"arms[{n}].action", arm.action, remedy)
    together = sum(arm.share for arm in experiment.arms)
    if together > 1.0 + 1e-9:
        remedy = f"the shares of the arms add up to {together:g}; at most 1 together"
        yield InvalidInput("arms", [arm.share for arm in experiment.arms], remedy)


def _arm_errors(
    path: str, arm: ArmSpec, journey: JourneyFile, kinds: dict[str, str]
) -> Iterator[InvalidInput]:
    free = [name for name, kind in kinds.items() if RULE_KINDS[kind].droppable]
    for n, name in enumerate(arm.without):
        at = f"{path}.without[{n}]"
        if name not in kinds:
            yield InvalidInput(at, name, "unknown id, " + did_you_mean(name, free))
        elif name not in free:
            remedy = f"this is of {kinds[name]}, which no arm may leave out; leave out a rule"
            yield InvalidInput(at, name, f"{remedy}, cap, cool-down, pause, weight or lever")
        if name in arm.without[:n]:
            yield InvalidInput(at, name, "listed twice; keep one")
    change = arm.exploration
    if change is None:
        return
    if not change.changed_fields():
        yield InvalidInput(f"{path}.exploration", None, "name what it changes, such as policy")
    actions = [*(action.id for action in journey.actions), NO_ACTION]
    yield from id_list_errors(f"{path}.exploration.order", change.order or [], actions)
    if change.on(journey.exploration).policy == "fixed" and not (
        change.order or journey.exploration.order
    ):
        remedy = "list the actions, the one that comes first at the top"
        yield InvalidInput(f"{path}.exploration.order", change.order, remedy)


def _same_errors(experiment: Experiment) -> Iterator[InvalidInput]:
    """Arms that do the same are allowed where all of them do: an A/A test."""
    means = [(arm.exploration, arm.bundle, frozenset(arm.without)) for arm in experiment.arms]
    if len(set(means)) == 1:
        return
    for n, mean in enumerate(means):
        if mean in means[:n]:
            first = experiment.arms[means.index(mean)].id
            remedy = f"it does the same as {first}; leave one out, or make all arms alike"
            yield InvalidInput(f"arms[{n}].id", experiment.arms[n].id, remedy)


def _bandit_errors(experiment: Experiment, journey: JourneyFile) -> Iterator[InvalidInput]:
    actions = [*(action.id for action in journey.actions), NO_ACTION]
    named: list[str] = []
    for n, arm in enumerate(experiment.arms):
        path = f"arms[{n}]"
        if arm.action is None:
            yield InvalidInput(f"{path}.action", None, "name the action that is this arm")
        elif arm.action in named:
            yield InvalidInput(f"{path}.action", arm.action, "already an arm; name another")
        yield from unknown_id_errors(f"{path}.action", arm.action, actions)
        named.append(arm.action or "")
        if arm.share or arm.touches():
            remedy = (
                "with allocation: bandit the policy draws the arms; leave share and changes out"
            )
            yield InvalidInput(path, arm.id, remedy)
    if experiment.primary.measure != "reward":
        remedy = "arms that a bandit draws are compared by reward; write measure: reward"
        yield InvalidInput("primary.measure", experiment.primary.measure, remedy)
    for name, listed in (
        ("secondary", experiment.secondary),
        ("guardrails", experiment.guardrails),
    ):
        if listed:
            remedy = "arms that a bandit draws are compared decision by decision, by reward alone"
            yield InvalidInput(name, [metric.id for metric in listed], remedy)


def _metric_errors(experiment: Experiment, journey: JourneyFile) -> Iterator[InvalidInput]:
    placed: list[tuple[str, MetricSpec]] = [("primary", experiment.primary)]
    placed += [(f"secondary[{n}]", metric) for n, metric in enumerate(experiment.secondary)]
    placed += [(f"guardrails[{n}]", guardrail) for n, guardrail in enumerate(experiment.guardrails)]
    yield from duplicate_id_errors((metric.id, path) for path, metric in placed)
    kinds = {mapping.id: mapping.amount for mapping in journey.events}
    for path, metric in placed:
        if metric.measure == "any" and metric.cap is not msgspec.UNSET:
            yield InvalidInput(
                f"{path}.cap", metric.cap, "whether they did is 0 or 1; leave it out"
            )
        if metric.measure == "reward":
            if metric.events:
                remedy = "the journey file's reward says which events count; leave them out"
                yield InvalidInput(f"{path}.events", metric.events, remedy)
            if journey.reward.staying or journey.reward.feeling_eur:
                remedy = "this reward has terms that training alone reads (staying, feeling_eur)"
                yield InvalidInput(f"{path}.measure", "reward", f"{remedy}; measure events")
            continue
        if not metric.events:
            remedy = "list the kinds of event of the journey file that it counts"
            yield InvalidInput(f"{path}.events", metric.events, remedy)
        yield from _kind_errors(path, metric, kinds)


def _kind_errors(
    path: str, metric: MetricSpec, kinds: dict[str, str | None]
) -> Iterator[InvalidInput]:
    with_amount = [kind for kind, amount in kinds.items() if amount is not None]
    known: Iterable[str] = kinds
    for n, kind in enumerate(metric.events):
        at = f"{path}.events[{n}]"
        if kind not in kinds:
            known = with_amount if metric.measure == "amount" else kinds
            yield InvalidInput(at, kind, "unknown kind of event, " + did_you_mean(kind, known))
        elif metric.measure == "amount" and kinds[kind] is None:
            remedy = "this event has no amount to sum; give its mapping one"
            yield InvalidInput(at, kind, remedy)
