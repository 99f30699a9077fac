"""Migration: a model that was made for one task learns others, and old code works as before."""

from motet.migration.splitting import migrate
from motet.migration.staged import Stage, StageReport, add_tasks

__all__ = ["Stage", "StageReport", "add_tasks", "migrate"]
