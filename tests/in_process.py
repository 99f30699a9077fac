"""Plans that execute their runs in this process, for tests of what is above plans."""

import pytest
import torch

from motet.planning import local, working


def _carried_out(works, *, processes, threads, say):
    before = torch.get_num_threads()
    for work in works:
        yield working.carry_out(work, before)


@pytest.fixture(scope="module", autouse=True)
def in_process():
    """Save the seconds that a new process takes to import torch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "carried_out", _carried_out)
        yield
