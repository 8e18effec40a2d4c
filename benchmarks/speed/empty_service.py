"""An empty BentoML endpoint: the same stack and settings as `serving.http.service`, and no work."""

from __future__ import annotations

import bentoml
import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


class Body(msgspec.Struct):
    customer_id: str
    channel: str | None = None


async def empty(request: Request) -> Response:
    body = msgspec.json.decode(await request.body(), type=Body)
    return Response(msgspec.json.encode(body), media_type="application/json")


APP = Starlette(routes=[Route("/decide", empty, methods=["POST"])])


@bentoml.service(
    name="empty",
    workers=1,
    traffic={"timeout": 10},
    tracing={"excluded_urls": ".*"},
    logging={"access": {"enabled": False}},
    metrics={"enabled": False},
)
@bentoml.asgi_app(APP, path="/")
class Empty:
    """Nothing but the stack."""
