"""Something done over and over in a thread of its own, until it is stopped."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from nba.errors import StoreUnavailable

logger = logging.getLogger("nba.serving")


class Worker:
    """Calls `step` again at once while it says that there is more to do, else after `every_s`.

    A step that fails is logged, once for each outage of the store, and tried again.
    """

    def __init__(self, name: str, step: Callable[[], bool], every_s: float) -> None:
        """`step` gives whether there is more to do at once; it should look at `stopping`."""
        self._name = name
        self._step = step
        self._every_s = every_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def stopping(self) -> bool:
        """Whether the step that is under way should end soon."""
        return self._stopping.is_set()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, timeout_s: float = 15.0) -> bool:
        """Stop behind the step that is under way. False: it is still at it."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        said = ""
        while not self._stopping.is_set():
            more = False
            try:
                more, said = self._step(), ""
            except StoreUnavailable as error:
                if str(error) != said:  # once for each outage
                    said = str(error)
                    logger.warning("the %s waits: %s", self._name, error)
            except Exception:
                logger.exception("the %s stumbled, and goes on", self._name)
            if not more:
                self._stopping.wait(self._every_s)
