"""Reads the body of a request, of a limited size and in a limited time.

What is sent of a body that is refused is read and thrown away, up to a limit: a connection that is
closed before would be reset, and the client would not see why.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import final

from starlette.requests import ClientDisconnect, Request

from motet.serving.limits import Limits
from motet.serving.refusals import Busy, Refused


@final
class Bodies:
    """All bodies that are being read or wait to be parsed, which share a limit.

    Args:
        limits: The limits of the server.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._held = 0

    @asynccontextmanager
    async def read(self, request: Request) -> AsyncIterator[bytes]:
        """Read the body of a request; it counts for the limit until the context ends.

        Yields:
            The body.

        Raises:
            Refused: With 415 if it is not JSON, 413 if it is too large, 408 if it is too slow, and
                503 if all bodies together are too large.
        """
        found = bytearray()
        try:
            await self._collect(request, found)
            yield bytes(found)
        finally:
            self._held -= len(found)

    async def _collect(self, request: Request, found: bytearray) -> None:
        seconds, chunks = self._limits.body_seconds, request.stream()
        refusal: Refused | None = None
        try:
            async with asyncio.timeout(seconds):
                try:
                    self._check_headers(request)
                    async for chunk in chunks:
                        self._add(chunk, found)
                except Refused as error:
                    refusal = error
                    self._held -= len(found)
                    found.clear()
                    await self._throw_away(request, chunks)
        except TimeoutError:
            late = f"the body did not arrive within {seconds:g} seconds"
            refusal = refusal or Refused(408, late)
        except ClientDisconnect:
            refusal = refusal or Refused(400, "the connection was closed before the body ended")
        if refusal is not None:
            raise refusal

    def _check_headers(self, request: Request) -> None:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise Refused(415, "expected the header Content-Type: application/json")
        length = request.headers.get("content-length", "0")
        if length.isdecimal() and int(length[:20]) > self._limits.bytes:
            raise self._too_large()

    def _add(self, chunk: bytes, found: bytearray) -> None:
        found += chunk
        self._held += len(chunk)
        if len(found) > self._limits.bytes:
            raise self._too_large()
        if self._held > self._limits.bytes_together:
            raise Busy("the server reads too many large requests")

    async def _throw_away(self, request: Request, chunks: AsyncIterator[bytes]) -> None:
        if "expect" in request.headers:  # the client waits, and has sent nothing
            return
        size = 0
        async for chunk in chunks:
            size += len(chunk)
            if size > self._limits.bytes_thrown_away:
                return

    def _too_large(self) -> Refused:
        return Refused(
            413, f"the body is larger than {self._limits.bytes:,} bytes; send fewer rows"
        )
