"""Reads the body of a request, of a limited size and in a limited time."""

import asyncio
from typing import final

from starlette.requests import ClientDisconnect, Request

from motet.serving.limits import Limits
from motet.serving.refusals import Busy, Refused


@final
class Bodies:
    """All bodies that are being read, which share a limit.

    Args:
        limits: The limits of the server.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._held = 0

    async def read(self, request: Request) -> bytes:
        """Return the body of a request.

        Raises:
            Refused: With 415 if it is not JSON, 413 if it is too large, 408 if it is too slow, and
                503 if all bodies together are too large.
        """
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise Refused(415, "expected the header Content-Type: application/json")
        length = request.headers.get("content-length", "0")
        if length.isdecimal() and int(length[:20]) > self._limits.bytes:
            raise self._too_large()
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                return await self._collected(request)
        except TimeoutError:
            seconds = self._limits.body_seconds
            raise Refused(408, f"the body did not arrive within {seconds:g} seconds") from None
        except ClientDisconnect:
            raise Refused(400, "the connection was closed before the body ended") from None

    async def _collected(self, request: Request) -> bytes:
        found = bytearray()
        held = 0
        try:
            async for chunk in request.stream():
                held += len(chunk)
                self._held += len(chunk)
                if held > self._limits.bytes:
                    raise self._too_large()
                if self._held > self._limits.bytes_together:
                    raise Busy("the server reads too many large requests")
                found += chunk
            return bytes(found)
        finally:
            self._held -= held

    def _too_large(self) -> Refused:
        return Refused(
            413, f"the body is larger than {self._limits.bytes:,} bytes; send fewer rows"
        )
