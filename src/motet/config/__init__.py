"""The schema of a run, and reading it with every problem reported at once."""

from motet.config.members import Member
from motet.config.reading import ConfigError, Origin, Problem, read
from motet.config.schema import Config, json_schema

__all__ = ["Config", "ConfigError", "Member", "Origin", "Problem", "json_schema", "read"]
