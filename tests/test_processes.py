"""What several processes give is joined to what one would have."""

import pytest
import torch

from motet.processes import Group, Processes, ProcessLost, processes_of, share_of
from tests.gloo import in_processes


@pytest.mark.parametrize(("rows", "count"), [(0, 2), (1, 2), (5, 2), (7, 4), (3, 4), (8, 4)])
def test_shares_are_all_rows_once_in_order(rows, count):
    shares = [share_of(rows, rank, count) for rank in range(count)]
    assert [row for share in shares for row in range(rows)[share]] == list(range(rows))
    sizes = [share.stop - share.start for share in shares]
    assert max(sizes) - min(sizes) <= 1


def test_one_process_gets_back_what_it_gives():
    alone = processes_of()
    assert type(alone) is Processes
    given = torch.tensor([1.0], requires_grad=True)
    assert alone.mean(given) is given
    assert alone.of_each("a") == ["a"]
    assert alone.first
    with alone.first_before_others():
        alone.wait()


def _joined():
    group = processes_of()
    given = torch.tensor([1.0 + group.rank, 2.0], dtype=torch.float64, requires_grad=True)
    mean = group.mean(given)
    (mean**2).sum().backward()
    tensors = [torch.full((2, 2), float(group.rank)), torch.tensor([group.rank], dtype=torch.int64)]
    group.average(tensors[:1])
    total = group.total(torch.tensor([group.rank]))
    found = group.of_each({"rank": group.rank}), group.of_first(group.rank + 7)
    with group.first_before_others():
        pass
    return mean.detach(), given.grad, tensors[0], total, found, group.count, group.first


def test_two_processes_add_up():
    for rank, (mean, slope, averaged, total, found, count, first) in enumerate(
        in_processes(2, _joined)
    ):
        assert mean.tolist() == [1.5, 2.0]
        assert slope.tolist() == [3.0, 4.0]  # at the mean, of this process's values
        assert averaged.tolist() == [[0.5, 0.5], [0.5, 0.5]]
        assert total.tolist() == [1]
        assert found == ([{"rank": 0}, {"rank": 1}], 7)
        assert count == 2
        assert first == (rank == 0)


GIVEN = (5.84592342376709, 0.33152639865875244)  # whose mean rounds in a sum of differences


def test_a_mean_is_equal_to_the_last_bit_on_all_processes():
    def mean():
        rank = processes_of().rank
        return processes_of().mean(torch.tensor(GIVEN[rank], requires_grad=True)).item()

    assert len(set(in_processes(2, mean))) == 1


def test_an_error_in_one_process_is_shown():
    def failing():
        if processes_of().rank == 1:
            raise ValueError("only here")

    with pytest.raises(AssertionError, match="only here"):
        in_processes(2, failing)


def _left_alone():
    group = processes_of()
    group.wait()  # until all are connected
    if not group.first:
        return "left"
    with pytest.raises(ProcessLost, match="another process of this run ended"):
        group.wait()
    with pytest.raises(ProcessLost):
        group.of_each("here")
    return "stayed"


def test_a_process_whose_peer_has_ended_is_not_left_waiting():
    assert in_processes(2, _left_alone) == ["stayed", "left"]


def test_what_a_group_exchanges_of_its_own_is_on_its_device(monkeypatch):
    """As NCCL has it, which exchanges no tensors of the CPU."""
    group, places = object.__new__(Group), []
    group.device = torch.device("meta")

    def total(values):
        places.append(values.device.type)
        return torch.zeros(len(values))

    monkeypatch.setattr(group, "total", total)
    group.any([True])
    group.wait()
    assert places == ["meta", "meta"]
