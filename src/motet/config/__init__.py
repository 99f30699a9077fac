"""The schema of a run, and reading it from YAML, a mapping or Python, with every problem at once."""
