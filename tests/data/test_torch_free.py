"""A config is held against its data without torch, which takes seconds to import."""

import subprocess
import sys


def test_all_of_the_data_layer_but_batches_needs_no_torch():
    program = """
import sys
import motet.data.inference, motet.data.preprocessing, motet.data.sources, motet.data.splits
from motet.registry import INPUTS, DATASETS
members = [registry[name] for registry in (INPUTS, DATASETS) for name in registry]
assert "torch" not in sys.modules, "torch was imported"
"""
    subprocess.run([sys.executable, "-c", program], check=True)
