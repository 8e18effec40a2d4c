"""The service: BentoML around the HTTP routes.

BentoML gives lifecycle, workers, readiness and packaging. The business routes are one Starlette
app mounted in it; `decide` and `feedback` are also BentoML APIs, so that BentoML's own clients
work, and call the same functions. Its tracing, access log and metrics are off: each request pays
for them, and their labels hold raw paths (`serving.metrics` counts instead).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import bentoml
import msgspec
from bentoml.exceptions import BentoMLException, InvalidArgument, NotFound as BentoNotFound
from starlette.types import ASGIApp, Receive, Scope, Send

from nba.errors import InvalidInput, NotFound, StoreUnavailable
from nba.events.parsing import check_json_value
from serving.api.json_reading import MalformedBody, read
from serving.api.schemas import DecideRequest, FeedbackRequest
from serving.settings import prepare_environment, read_settings

if TYPE_CHECKING:
    from serving.http.routes import Routes

SETTINGS = read_settings()
prepare_environment(SETTINGS)
logger = logging.getLogger("nba.serving")


class WithoutValues(logging.Filter):
    """Takes the message out of an error that BentoML logs: it quotes what the caller sent."""

    def filter(self, record: logging.LogRecord) -> bool:
        from serving.http.problems import ServiceError

        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            place = ServiceError(type(error).__name__).with_traceback(error.__traceback__)
            record.exc_info = (ServiceError, place, error.__traceback__)
        return True


class Unavailable(BentoMLException):
    """The log is out of reach (HTTP 503)."""

    error_code = HTTPStatus.SERVICE_UNAVAILABLE


class Mount:
    """The routes' app, once the service is up; an ASGI app that exists at import."""

    def __init__(self) -> None:
        self.routes: Routes | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.routes is None:
            await _respond(send, 503, {"error": "starting", "message": "the service is starting"})
            return
        await self.routes.app(scope, receive, send)


MOUNT = Mount()


@bentoml.service(
    name="nba",
    workers=SETTINGS.workers,
    traffic={"timeout": 10},
    tracing={"excluded_urls": ".*"},
    logging={"access": {"enabled": False}},
    metrics={"enabled": False},
)
@bentoml.asgi_app(MOUNT, path="/")
class NextBestAction:
    """Events in, one governed, explained decision out."""

    def __init__(self) -> None:
        # imported now, and not by the request that meets the first champion
        import lightgbm  # noqa: F401

        from serving.http.routes import Routes
        from serving.replica.assembly import assemble
        from serving.workers.background import BackgroundWorkers

        logging.basicConfig(level=logging.INFO)
        logging.getLogger("bentoml._internal.server.http_app").addFilter(WithoutValues())
        replica = assemble(SETTINGS)
        self.routes = Routes(replica, SETTINGS)
        self.workers = BackgroundWorkers(replica, SETTINGS, self.routes.handlers.metrics)
        MOUNT.routes = self.routes

    @bentoml.on_startup  # type: ignore[untyped-decorator]
    async def open(self) -> None:
        await self.workers.open()

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    async def close(self) -> None:
        await self.workers.close()
        await self.routes.close()

    @bentoml.api(route="/bentoml/decide")  # type: ignore[untyped-decorator]
    async def decide(self, request: dict[str, Any]) -> dict[str, Any]:
        """What POST /decide does, for BentoML's clients."""
        body = _read(request, DecideRequest)
        try:
            return _plain(await self.routes.handlers.decide(body))
        except InvalidInput as error:
            raise InvalidArgument(str(error)) from None
        except StoreUnavailable:
            raise Unavailable("the log is out of reach; send the same again") from None

    @bentoml.api(route="/bentoml/feedback")  # type: ignore[untyped-decorator]
    async def feedback(self, request: dict[str, Any]) -> dict[str, Any]:
        """What POST /feedback does, for BentoML's clients."""
        body = _read(request, FeedbackRequest)
        try:
            return _plain(await self.routes.handlers.feedback(body))
        except InvalidInput as error:
            raise InvalidArgument(str(error)) from None
        except NotFound as error:
            raise BentoNotFound(str(error)) from None
        except StoreUnavailable:
            raise Unavailable("the log is out of reach; send the same again") from None


class Readiness:
    """Answers GET /readyz: 503 while the log is out of reach; the body says if it is degraded."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != "/readyz":
            await self.app(scope, receive, send)
            return
        try:
            routes = MOUNT.routes
            status, body = await routes.handlers.ready() if routes else (503, {"ready": False})
        except Exception as error:  # an error here would hang the request until the timeout
            status, body = 503, {"ready": False, "reason": type(error).__name__}
        await _respond(send, status, body)


NextBestAction.add_asgi_middleware(Readiness)  # type: ignore[attr-defined]


def _read(value: dict[str, Any], kind: type[Any]) -> Any:
    try:
        check_json_value("request", value)  # encoding would make null of a NaN
        return read(msgspec.json.encode(value), kind)
    except (InvalidInput, MalformedBody) as error:
        raise InvalidArgument(str(error)) from None


def _plain(answer: msgspec.Struct) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(answer)
    return plain


async def _respond(send: Send, status: int, body: Mapping[str, object]) -> None:
    content = msgspec.json.encode(body)
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
