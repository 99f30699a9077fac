"""Members for motet, which finds them by the entry points in pyproject.toml.

Nothing is imported before a config names a member, so this file needs no imports.
"""
