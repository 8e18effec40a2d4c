"""Ship an arm: change the journey file so that everybody is decided like that arm.

The text is changed in place, so that comments and order stay, and is then read again: it is given
only where it says exactly what was meant.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import yaml
from msgspec.structs import replace

from nba.errors import InvalidInput, InvalidJourney, did_you_mean
from nba.experiments.experiment import ArmSpec, Started
from nba.governance.rule_ablation import rule_parts
from nba.journey.file import JourneyFile
from nba.journey_file.loader import parse_journey


def shippable(started: Started, arm_id: str) -> ArmSpec:
    """The arm that is to decide for everybody.

    Raises InvalidInput for one that it does not have, for the control, and for arms that are
    actions.
    """
    experiment = started.experiment
    arm = experiment.arm(arm_id)
    if arm is None:
        names = [arm.id for arm in experiment.arms]
        raise InvalidInput("arm", arm_id, did_you_mean(arm_id, names))
    if experiment.allocation == "bandit":
        raise InvalidInput("arm", arm_id, "it is an action: leave the others out of the catalogue")
    if not arm.touches():
        remedy = "everybody is decided like this arm already; stop the experiment"
        raise InvalidInput("arm", arm_id, remedy)
    return arm


def shipped(journey: JourneyFile, arm: ArmSpec) -> JourneyFile:
    """The journey with what the arm changes, its bundle aside.

    Raises InvalidInput for an id that is not in it.
    """
    for name in arm.without:
        ablated = next((part.ablated for part in rule_parts(journey) if part.id == name), None)
        if ablated is None:
            raise InvalidInput("without", name, "it is not in this journey file any more")
        journey = ablated
    if arm.exploration is not None:
        journey = replace(journey, exploration=arm.exploration.on(journey.exploration))
    return journey


def shipped_text(text: str, arm: ArmSpec, file: str) -> str:
    """The journey file `text` likewise.

    Raises InvalidJourney for a text that is no journey file; InvalidInput for an id that is not in
    it, or where the text is written in a way that this does not change.
    """
    expected = shipped(parse_journey(text, file), arm)
    for name in arm.without:
        for path in _paths(parse_journey(text, file), name):
            text = _cut(text, path)
    if arm.exploration is not None:
        text = _explored(text, arm)
    try:
        changed = parse_journey(text, file)
    except InvalidJourney as error:
        changed, why = None, str(error)
    else:
        why = "the changed text says something else"
    if changed != expected:
        changes = ", ".join([*arm.without, *(["exploration"] if arm.exploration else [])])
        raise InvalidInput("journey file", file, f"change it by hand ({changes}): {why}")
    return text


def _paths(journey: JourneyFile, name: str) -> Iterator[list[str | int]]:
    """Where the part of this id stands in the file; from the end, so that places stay."""
    policy = journey.contact_policy
    lists: list[tuple[list[str | int], list[str]]] = [
        (["engagement"], [signal.id for signal in journey.engagement]),
        (["contact_policy", "caps"], [cap.id for cap in policy.caps]),
        (["contact_policy", "cool_downs"], [cool_down.id for cool_down in policy.cool_downs]),
        (["contact_policy", "pauses"], [pause.id for pause in policy.pauses]),
        (["weights"], [weight.id for weight in journey.weights]),
        (["levers"], [lever.id for lever in journey.levers]),
    ]
    for path, ids in lists:
        if name in ids:
            yield [*path, ids.index(name)]
            return
    action_id, _, rest = name.partition(".")
    at = [action.id for action in journey.actions].index(action_id)
    treatment_id, _, layer = rest.rpartition(".")
    if treatment_id:
        ids = [treatment.id for treatment in journey.actions[at].treatments]
        yield ["actions", at, "treatments", ids.index(treatment_id), layer]
        return
    rule = getattr(journey.actions[at], rest)
    for n in reversed(range(len(journey.actions))):
        if getattr(journey.actions[n], rest) == rule:
            yield ["actions", n, rest]


def _cut(text: str, path: list[str | int]) -> str:
    """The text without what stands at this path; what is left empty goes with it."""
    way: list[yaml.Node] = [_composed(text)]
    for step in path:
        way.append(_below(way[-1], step))
    while len(way) > 2 and len(way[-2].value) == 1:
        way.pop()
        path = path[:-1]
    holder, step = way[-2], path[-1]
    if isinstance(holder, yaml.SequenceNode):
        at = int(step)
        spans = [(node.start_mark, node.end_mark) for node in holder.value]
    else:
        at = [key.value for key, _ in holder.value].index(step)
        spans = [(key.start_mark, value.end_mark) for key, value in holder.value]
    begin, end = spans[at][0].index, spans[at][1].index
    if isinstance(holder, yaml.CollectionNode) and holder.flow_style:
        begin = spans[at - 1][1].index if at else begin
        end = end if at or len(spans) == 1 else spans[1][0].index
        return text[:begin] + text[end:]
    begin = text.rfind("\n", 0, begin) + 1
    return text[:begin] + text[_line_end(text, begin, end) :]


def _line_end(text: str, begin: int, end: int) -> int:
    """The end of the last line with content before `end`: comments below belong to what follows."""
    lines = text[begin:end].splitlines(keepends=True)
    while len(lines) > 1 and (not lines[-1].strip() or lines[-1].lstrip().startswith("#")):
        lines.pop()
    upto = begin + sum(map(len, lines))
    if text[upto - 1] == "\n":
        return upto
    newline = text.find("\n", upto)
    return len(text) if newline < 0 else newline + 1


def _composed(text: str) -> yaml.Node:
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    assert node is not None  # the text was a journey file
    return node


def _below(node: yaml.Node, step: str | int) -> yaml.Node:
    if isinstance(step, int):
        child = node.value[step]
    else:
        child = next(value for key, value in node.value if key.value == step)
    assert isinstance(child, yaml.Node)
    return child


def _explored(text: str, arm: ArmSpec) -> str:
    """With the arm's exploration, in one line."""
    assert arm.exploration is not None
    root = _composed(text)
    entry = next(((k, v) for k, v in root.value if k.value == "exploration"), None)
    own = {} if entry is None else yaml.safe_load(text)["exploration"] or {}
    fields = own | arm.exploration.changed_fields()
    written = ", ".join(f"{name}: {_said(value)}" for name, value in fields.items())
    line = f"exploration: {{{written}}}\n"
    if entry is None:
        return text + ("" if text.endswith("\n") else "\n") + line
    begin = entry[0].start_mark.index
    return text[:begin] + line + text[_line_end(text, begin, entry[1].end_mark.index) :]


def _said(value: object) -> str:
    """A value in one line of YAML."""
    if isinstance(value, list):
        return f"[{', '.join(value)}]"
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
