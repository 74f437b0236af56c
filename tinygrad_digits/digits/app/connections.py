"""The server's connections: answered without delay, and none held that asks for nothing.

uvicorn bounds neither how many connections are of one address nor how long one may take to say what
it wants; so whoever opened enough of them shut all others out.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from ..extras import extra

with extra("serve"):
    from uvicorn.protocols.http.h11_impl import H11Protocol

PATIENCE = 10.0
"""Seconds that a request's head may take to arrive, or its body."""
OF_ONE_ADDRESS = 256
"""Connections: a browser opens six, a class behind one router a few hundred."""
OF_ALL = 512
"""Half of the files that a process may usually have open."""


class Connection(H11Protocol):
    """HTTP/1.1 by uvicorn; where there are too many, the one that has waited longest makes room."""

    _limit: asyncio.TimerHandle | None = None
    """When to hang up; None while a request is being answered."""

    def connection_made(self, transport: Any) -> None:
        """Send answers as they come, since Nagle's algorithm holds the second part of one until the
        first is acknowledged, after 40 ms; and wait for a request.
        """
        super().connection_made(transport)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._wait()
        self._make_room()

    def data_received(self, data: bytes) -> None:
        """A head that has arrived ends the wait."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()

    def on_response_complete(self) -> None:
        """Wait for the next request, unless it is there."""
        super().on_response_complete()
        if self.cycle.response_complete:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing to wait for."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._stop_waiting()
        self._limit = self.loop.call_later(PATIENCE, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None

    def _make_room(self) -> None:
        """Hang up on whoever has waited longest: of this address, then of all; else on this one."""
        everyone = [one for one in self.connections if isinstance(one, Connection)]
        neighbours = [one for one in everyone if one._address() == self._address()]
        for crowd, most in ((neighbours, OF_ONE_ADDRESS), (everyone, OF_ALL)):
            there = [one for one in crowd if not one.transport.is_closing()]
            if len(there) > most:
                idle = [one for one in there if one._limit is not None]
                min(idle, key=Connection._deadline).transport.close()  # this one is among them

    def _address(self) -> str | None:
        return self.client[0] if self.client else None

    def _deadline(self) -> float:
        return self._limit.when() if self._limit else float("inf")
