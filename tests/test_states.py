"""States know their width, their mask, their pooling, and how rows are taken from them."""

import pytest
import torch
from torch.testing import assert_close

from motet.states import MapStates, RowStates, TokenStates, provided, record_of

ROWS = torch.arange(12.0).view(3, 4)
MAP = torch.arange(96.0).view(3, 4, 2, 4)
TOKENS = TokenStates(
    torch.arange(24.0).view(3, 2, 4),
    torch.tensor([[False, False], [False, True], [True, True]]),
    torch.ones(3, 4),
)
STATES = {"rows": ROWS, "tokens": TOKENS, "map": MAP}
each_state = pytest.mark.parametrize("name", list(STATES))


def test_a_tensor_of_four_dimensions_is_a_map_unless_there_are_none():
    assert isinstance(record_of(ROWS), RowStates)
    assert isinstance(record_of(MAP), MapStates)
    assert isinstance(record_of(MAP, maps=False), RowStates)
    assert record_of(TOKENS) is TOKENS
    assert record_of({"rows": ROWS}) is None
    assert record_of((ROWS, ROWS)) is None


@each_state
def test_every_state_knows_its_width_and_gives_one_state_per_row(name):
    record = record_of(STATES[name])
    assert record.width == 4
    assert record.pooled.shape == (3, 4)
    assert record.read("rows") is record.pooled or torch.equal(record.read("rows"), record.pooled)
    assert record.misfit(4) == ""
    assert ", 5" in record.misfit(5)


@each_state
@pytest.mark.parametrize("rows", [slice(1, None), torch.tensor([2, 0])], ids=str)
def test_rows_taken_from_a_state_are_rows_of_its_pooled_state(name, rows):
    record = record_of(STATES[name])
    assert_close(record.take(rows).pooled, record.pooled[rows])
    assert (record.mask is None) == (record.take(rows).mask is None)


def test_tokens_have_a_mask_and_keep_their_padding_when_rows_are_taken():
    assert TOKENS.mask.tolist() == [[True, True], [True, False], [False, False]]
    assert TOKENS.take(slice(1, 2)).mask.tolist() == [[True, False]]


def test_the_pooled_state_of_a_map_is_its_mean_over_places():
    assert_close(record_of(MAP).pooled, MAP.flatten(2).mean(2))


@pytest.mark.parametrize("name", ["rows", "tokens", "map", "fine"])
def test_a_state_gives_what_has_its_name_or_one_state_per_row(name):
    for own, state in STATES.items():
        assert (record_of(state).read(name) is not None) == (name in ("rows", own))


@pytest.mark.parametrize(
    ("gives", "names"),
    [
        (None, None),
        ("rows", ("rows",)),
        ("map", ("rows", "map")),
        ({"fine": 3, "map": 4}, ("fine", "map")),
    ],
)
def test_what_an_encoder_declares_says_which_states_tasks_can_read(gives, names):
    assert provided(gives) == names
