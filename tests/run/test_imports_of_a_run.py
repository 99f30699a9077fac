"""What a run of a small table does not import before its first step."""

import json
import subprocess
import sys

LOADED = """
import json, sys
import motet.cli.training, motet.run.training
print(json.dumps(sorted(sys.modules)))
"""


def test_a_run_imports_no_data_sets_of_arrow():
    done = subprocess.run(
        [sys.executable, "-c", LOADED], capture_output=True, text=True, check=True
    )
    assert "pyarrow.dataset" not in json.loads(done.stdout)
