"""The errors of the journey file: a broken line, and exactly what is said of it."""

from __future__ import annotations

import pytest

from nba.errors import InvalidJourney
from nba.journey_file.loader import parse_journey
from tests.fixtures.files import SMALL_JOURNEY

TEXT = SMALL_JOURNEY.read_text(encoding="utf-8")
_EITHER = "101: churn: {}: give either event or inactive: how is it known that a customer has left?"
ID = "lower case, digits and underscores, starting with a letter"


def errors_of(text: str) -> list[str]:
    with pytest.raises(InvalidJourney) as caught:
        parse_journey(text, "bank.yaml")
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        # Shape: keys and values one by one.
        (
            "channel: app\n",
            "chanel: app\n",
            "69: actions[1].chanel: 'app': unknown key, did you mean 'channel'?",
        ),
        (
            "owner: Brand, ",
            "",
            "15: scenes[0].journeys[0].stages[0].touchpoints[2].owner: None: missing, write a text"
            " of 1 to 500 characters",
        ),
        ("name: small_bank", "name: Small Bank", f"3: name: 'Small Bank': write {ID}"),
        ("name: small_bank", 'name: "a\\n"', f"3: name: 'a\\n': write {ID}"),
        ("version: 1", "version: 2", "2: version: 2: write 1"),
        ("version: 1", "version: true", "2: version: True: write 1"),
        ("valence: -0.4", "valence: -4", "36: events[0].valence: -4: write a number from -1 to 1"),
        ("valence: -0.4", "valence: .nan", "36: events[0].valence: '.nan': write a finite number"),
        (
            "valence: -0.4",
            "valence: '-0.4'",
            "36: events[0].valence: '-0.4': write a number from -1 to 1, without quotes",
        ),
        (
            "times: 3",
            "times: 3.5",
            "96: contact_policy.caps[0].times: 3.5: write a whole number of at least 1",
        ),
        (
            "days: 7, per",
            "days: 0, per",
            "96: contact_policy.caps[0].days: 0: write a number above 0",
        ),
        (
            "per: action}",
            "per: actions}",
            "96: contact_policy.caps[0].per: 'actions': write action or channel or customer or"
            " group",
        ),
        (
            "cost_eur: 8",
            "cost_eur: -8",
            "79: actions[2].cost_eur: -8: write a number of at least 0",
        ),
        (
            "outcome: negative",
            "outcome: bad",
            "49: events[12].outcome: 'bad': write negative or positive",
        ),
        (
            "leaving: true",
            "leaving: yes",
            "30: scenes[0].journeys[1].stages[1].leaving: 'yes': write true or false",
        ),
        (
            "affluent, private",
            "affluent, 3",
            "52: traits.segment.values[2]: 3: write a text, in quotes",
        ),
        ("  segment:", "  Segment:", f"52: traits.Segment: 'Segment': name it in {ID}"),
        ("fallback: [help_popup]", "fallback: {a: 1}", "93: fallback: {'a': 1}: write a list"),
        (
            "fallback: [help_popup]",
            "fallbacks: []",
            "93: fallbacks: []: unknown key, did you mean 'fallback'?",
        ),
        ("actions:\n", "actions:\n  - help\n", "60: actions[0]: 'help': write keys and values"),
        # YAML itself.
        (
            "name: small_bank",
            "name: small_bank\nname: again",
            "4: name: 'name': duplicate key, first on line 3; keep one",
        ),
        (
            "name: small_bank",
            "name: small_bank\n1: again",
            "4: file: '1': a key is a text; put it in quotes",
        ),
        (
            "name: small_bank",
            "name: !!python/name:os.system x",
            "3: name: 'x': remove the tag tag:yaml.org,2002:python/name:os.system",
        ),
        (
            "  - id: help_popup",
            "\t- id: help_popup",
            "60: yaml: '- id: help_popup': indent with spaces, not tabs",
        ),
        (
            "name: small_bank",
            "name: [a",
            "5: yaml: 'scenes:': not YAML here: expected ',' or ']', but got ':', while parsing a"
            " flow sequence that starts on line 3",
        ),
        (
            "name: small_bank",
            "name: small_bank\n---",
            "4: yaml: '---': keep one document in the file",
        ),
        (
            "name: small_bank",
            "name: a\x01",
            "3: yaml: 'name: a\\x01': remove the unprintable character",
        ),
        # What the parts say of each other.
        (
            "leaving: true",
            "leaving: false",
            "5: scenes: ['explore', 'advise', 'sign', 'use', 'leave']: give leaving: true to the"
            " stage in which the relationship ends",
        ),
        (
            "- id: advise",
            "- id: explore",
            "16: scenes[0].journeys[0].stages[1].id: 'explore': already the id of"
            " scenes[0].journeys[0].stages[0]; choose another",
        ),
        (
            "Branches, importance: 3",
            "Shops, importance: 3",
            "23: scenes[0].journeys[0].stages[2].touchpoints[1].id: 'branch': differs from"
            " scenes[0].journeys[0].stages[1].touchpoints[1]; a touchpoint recurs unchanged",
        ),
        (
            "id: search, ",
            "id: search_failed, ",
            "37: events[1].id: 'search_failed': already the id of events[0]; choose another",
        ),
        (
            "id: rage_click",
            "id: emotion",
            "39: events[3].id: 'emotion': reserved, rules could not name it; choose another",
        ),
        (
            "id: rage_click",
            "id: class",
            "39: events[3].id: 'class': reserved, rules could not name it; choose another",
        ),
        (
            "page, touchpoint: website",
            "page, touchpoint: web_site",
            "38: events[2].touchpoint: 'web_site': unknown id, did you mean 'website'?",
        ),
        (
            "when: properties.results_count == 0,",
            "",
            "37: events[1].event: 'Products Searched': never reached: events[0] takes every such"
            " event; move it up",
        ),
        (
            "when: properties.results_count == 0",
            "when: results_count == 0",
            "35: events[0].when: 'results_count': unknown name, known names: properties.*",
        ),
        (
            "Products Searched, touchpoint",
            "Products Searched, when: properties.results_count == 0, touchpoint",
            "37: events[1].when: 'properties.results_count == 0': never reached: an earlier mapping"
            " has the same event and rule; remove one",
        ),
        (
            "  tenure_months: {type: number}",
            "  tenure_months: {type: number}\n  city: {type: category}",
            "54: traits.city.values: None: list the values of the category, in a fixed order",
        ),
        (
            "{type: number}",
            "{type: number, values: [a]}",
            "53: traits.tenure_months.values: ['a']: a number has no values; remove them or write"
            " type: category",
        ),
        (
            "values: [home, search, ",
            "values: [home, home, ",
            "57: request.page.values[1]: 'home': give each value once, and none empty",
        ),
        (
            "  tenure_months: {type: number}",
            "  tenure_months: {type: number}\n  page: {type: number}",
            "58: request.page: 'page': already the name of a trait; choose another",
        ),
        (
            "id: card_offer",
            "id: help_popup",
            "68: actions[1].id: 'help_popup': already the id of actions[0]; choose another",
        ),
        (
            "id: card_offer",
            "id: no_action",
            "68: actions[1].id: 'no_action': reserved for leaving the customer in peace; choose"
            " another",
        ),
        (
            "touchpoint: banking_app\n",
            "touchpoint: bank_app\n",
            "70: actions[1].touchpoint: 'bank_app': unknown id, did you mean 'banking_app'?",
        ),
        (
            "channel: app\n",
            "channel: web\n",
            "69: actions[1].channel: 'web': touchpoint banking_app is on channel app; make them"
            " agree",
        ),
        (
            "features: {selling: 0, human: 1}",
            "features: {selling: 0}",
            "81: actions[2].features: ['selling']: give every action the features of help_popup:"
            " human, selling",
        ),
        (
            "search_failed.count_1h >=",
            "search_faild.count_1h >=",
            "66: actions[0].eligible: 'search_faild.count_1h': unknown name, did you mean"
            " 'search_failed.count_1h'?",
        ),
        (
            '["home", "loans"]',
            '["hom", "loans"]',
            "87: actions[3].eligible: 'hom': not a value of request.page, did you mean 'home'?",
        ),
        (
            "fallback: [help_popup]",
            "fallback: [help_popup, help_popup]",
            "93: fallback[1]: 'help_popup': listed twice; keep one",
        ),
        (
            "per: action}",
            "per: action, actions: [card_offers]}",
            "96: contact_policy.caps[0].actions[0]: 'card_offers': unknown id, did you mean"
            " 'card_offer'?",
        ),
        (
            "{event: account_closed, ",
            "{event: account_close, ",
            "101: churn.event: 'account_close': unknown id, did you mean 'account_closed'?",
        ),
        ("{event: account_closed, ", "{", _EITHER.format(None)),
        (
            "{event: account_closed, ",
            "{event: account_closed, inactive: [page], ",
            _EITHER.format("'account_closed'"),
        ),
        (
            "target: response",
            "target: value",
            "100: reward.events: []: target: value needs the kinds of event whose amounts are"
            " summed",
        ),
        (
            "target: response",
            "target: value, events: [purchase], minus: [page]",
            "100: reward.minus[0]: 'page': this event has no amount to sum; give its mapping one",
        ),
    ],
)
def test_an_error_names_line_path_value_and_remedy(right: str, wrong: str, message: str) -> None:
    assert right in TEXT
    assert errors_of(TEXT.replace(right, wrong, 1)) == ["bank.yaml:" + message]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "1: yaml: '': the file is empty; start with version: 1"),
        ("# nothing\n", "1: yaml: '# nothing': the file is empty; start with version: 1"),
        ("[1]", "1: file: [1]: write keys and values"),
        ("journey", "1: file: 'journey': write keys and values"),
        ("a: *b", "1: yaml: 'a: *b': not YAML here: found undefined alias 'b'"),
        ("[" * 3000, "1: yaml: '...': nest at most 50 levels"),
        ("x" * 1_000_001, "1: yaml: '1000001 characters': write at most 1000000 characters"),
    ],
)
def test_a_text_that_is_no_mapping_is_refused(text: str, message: str) -> None:
    assert errors_of(text) == ["bank.yaml:" + message]
