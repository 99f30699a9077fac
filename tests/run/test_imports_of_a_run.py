"""What happens before the first step of a run, and what does not: imports and collections."""

import json
import subprocess
import sys

LOADED = """
import gc, json, sys
import motet.cli.training
from motet.cli.importing import importing
collections = []
gc.callbacks.append(lambda phase, info: collections.append(phase))
with importing():
    import motet.run.training
    count = len(collections)
print(json.dumps([count, gc.isenabled(), gc.get_freeze_count(), sorted(sys.modules)]))
"""


def test_a_command_imports_without_collections_and_without_data_sets_of_arrow():
    call = [sys.executable, "-c", LOADED]
    done = subprocess.run(call, capture_output=True, text=True, check=True)
    count, collects, frozen, modules = json.loads(done.stdout)
    assert count == 0
    assert collects
    assert frozen > 0
    assert "torch" in modules
    assert "pyarrow.dataset" not in modules
