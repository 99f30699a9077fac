"""A finished run as an HTTP server: rows in JSON in, predictions out (`motet serve`).

A request goes through `body` (bytes, limited), `requests` (JSON to a typed table, by the kinds of
`columns`), `batching` (requests joined, one thread for the model) and `answers`. `app` has the
routes, `server` the process. Predictions are those of `Run.predict`.
"""

from typing import TYPE_CHECKING, Any

from motet.extras import imported

if TYPE_CHECKING:
    from motet.serving.app import create_app
    from motet.serving.limits import Limits
    from motet.serving.server import serve

__all__ = ["Limits", "create_app", "serve"]

_PLACES = {"Limits": "limits", "create_app": "app", "serve": "server"}


def __getattr__(name: str) -> Any:
    """Import FastAPI when something is used."""
    if name not in _PLACES:
        raise AttributeError(f"module 'motet.serving' has no attribute {name!r}")
    return getattr(imported(f"motet.serving.{_PLACES[name]}", "serving needs"), name)
