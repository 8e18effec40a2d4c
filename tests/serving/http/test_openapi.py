"""The published contract, played at random: nothing is a 500, and answers are as described."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import positive_data_acceptance

if TYPE_CHECKING:
    from tests.fixtures.routes_in_process import InProcess

OPERATIONS = [
    ("POST", "/decide"),
    ("POST", "/events"),
    ("POST", "/feedback"),
    ("POST", "/activate"),
    ("GET", "/decisions"),
    ("POST", "/decisions/{decision_id}/replay"),
    ("GET", "/decisions/{decision_id}"),
    ("GET", "/customers/{customer_id}"),
    ("GET", "/customers/{customer_id}/emotion"),
]


@pytest.fixture(scope="module")
def api(shared_client: InProcess) -> Iterator[BaseSchema]:
    yield schemathesis.openapi.from_asgi("/openapi.json", shared_client.app)


def test_every_operation_of_the_document_is_played(api: BaseSchema) -> None:
    described = {
        (all_operation.ok().method.upper(), all_operation.ok().path)
        for all_operation in api.get_all_operations()
    }
    assert described == set(OPERATIONS)


@pytest.mark.parametrize(
    ("method", "path", "mode", "examples"),
    [
        *((method, path, GenerationMode.POSITIVE, 25) for method, path in OPERATIONS),
        *((method, path, GenerationMode.NEGATIVE, 8) for method, path in OPERATIONS[:5]),
    ],
)
def test_answers_are_as_described(
    api: BaseSchema, method: str, path: str, mode: GenerationMode, examples: int
) -> None:
    """Schemathesis checks that no answer is a 5xx, that the status and the content type are
    described, that the body is of its schema, and that a request against it is refused.

    That every request of the schema is accepted is not promised: the journey file says which
    channels, placements and actions there are, and an id holds printable characters only.
    """
    operation = api[path][method]
    statuses = set()

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    def play(case: schemathesis.Case) -> None:
        response = case.call_and_validate(excluded_checks=[positive_data_acceptance])
        statuses.add(response.status_code)

    play()
    answered = {"/decide": 200, "/events": 200, "/decisions": 200}.get(path, 404)
    assert (answered if mode is GenerationMode.POSITIVE else 422) in statuses
