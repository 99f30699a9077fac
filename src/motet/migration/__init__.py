"""Migration: a model that was made for one task learns others, and old code works as before."""

from typing import TYPE_CHECKING, Any

from motet.elsewhere import missing
from motet.migration.splitting import migrate
from motet.migration.staged import Stage, StageReport, add_tasks

__all__ = ["Stage", "StageReport", "add_tasks", "migrate"]


if not TYPE_CHECKING:  # type checkers know what is here

    def __getattr__(name: str) -> Any:
        raise missing(__name__, name)
