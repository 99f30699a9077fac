"""The process of a server: a socket, and a stop that leaves no request without an answer."""

import signal
import socket
from collections.abc import Callable

import uvicorn

from motet.problems import InputError
from motet.run import Run
from motet.serving.app import create_app
from motet.serving.limits import Limits

_OWN = ("127.0.0.1", "::1", "localhost")
_WAITING = 2048
"""Connections that wait to be accepted."""
_LONGEST = (1 << 31) - 1
"""Milliseconds that the system can wait."""


def serve(
    run: Run,
    host: str = "127.0.0.1",
    port: int = 8000,
    limits: Limits | None = None,
    step: Callable[[str], object] = print,
) -> None:
    """Serve a run in the main thread until SIGTERM or SIGINT.

    Requests under way are answered then, in ``limits.shutdown_seconds``.

    Args:
        run: The run.
        host: The address to listen at; others than that of this machine let other machines in.
        port: The port; 0 takes a free one.
        limits: The limits; those of `Limits` if left out.
        step: Called with a line about where it listens.

    Raises:
        InputError: If the address cannot be used.
    """
    limits = limits or Limits()
    bound = listening(host, port)
    close_to_slow_readers(bound, limits.answer_seconds)
    config = uvicorn.Config(
        create_app(run, limits),
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=int(limits.shutdown_seconds) or 1,
        server_header=False,
    )
    address = f"[{host}]" if ":" in host else host
    step(f"serving    {run.path} at http://{address}:{bound.getsockname()[1]}")
    if host not in _OWN:
        step("note       other machines can reach it, and it asks for no password")
    server = uvicorn.Server(config)

    def stop(*_: object) -> None:
        """Stop before uvicorn handles signals; afterwards, as it raises them again, do nothing."""
        server.should_exit = True

    before = signal.signal(signal.SIGTERM, stop)
    try:
        server.run(sockets=[bound])
    finally:
        signal.signal(signal.SIGTERM, before)
        bound.close()


def close_to_slow_readers(bound: socket.socket, seconds: float) -> None:
    """Let the system close connections whose client takes nothing for some time, where it can."""
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # connections have the option of the socket
        milliseconds = min(int(1000 * seconds) or 1, _LONGEST)
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)


def listening(host: str, port: int) -> socket.socket:
    """Return a socket that accepts connections.

    Raises:
        InputError: If the address cannot be used.
    """
    kind = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(kind, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
        made.listen(_WAITING)  # fails if another process took the port in between
    except (OSError, OverflowError, ValueError) as error:
        made.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"cannot listen at {host}, port {port} ({reason}); choose another with --host or --port"
        ) from None
    return made
