"""The conditional random field against brute force, known answers and a public implementation."""

import math
from itertools import pairwise, product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from motet.problems import InputError
from motet.tags import TagSet
from motet.tasks.crf import CRF

BIO = TagSet(["O", "B-a", "I-a"])
EMISSIONS = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]], dtype=torch.float64)
CASES = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 2**32),
        "rows": st.integers(1, 4),
        "length": st.integers(1, 4),
        "gaps": st.sampled_from([0.0, 0.4]),
        "scale": st.sampled_from([1.0, 30.0]),
    }
)


def known():
    crf = CRF(2).double()
    crf.transitions.data = torch.tensor([[0.5, -0.2], [-1.0, 0.0]]).double()
    return crf


def drawn(seed, rows, length, gaps, scale, moves=None):
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return scale * torch.randn(*shape, generator=generator, dtype=torch.float64)

    crf = CRF(3, moves).double()
    for parameter in crf.parameters():
        parameter.data = normal(*parameter.shape)
    lengths = torch.randint(0, length + 1, (rows,), generator=generator)
    mask = torch.arange(length) < lengths[:, None]
    tags = torch.randint(0, 3, (rows, length), generator=generator)
    tags[torch.rand(rows, length, generator=generator) < gaps] = -100
    return crf, normal(rows, length, 3), tags.where(mask, -100), mask


def score(crf, emissions, path):
    moves = sum(crf.transitions[a, b] for a, b in pairwise(path))
    inner = sum(emission[tag] for emission, tag in zip(emissions, path, strict=True))
    return (crf.start[path[0]] + inner + moves + crf.end[path[-1]]).item()


def gradients_of(crf, likelihood):
    wanted = list(crf.parameters())
    return torch.autograd.grad(likelihood.sum(), wanted, retain_graph=True, materialize_grads=True)


def shares_of_tags(crf, emissions, tags, mask):
    """Share of the paths that has each tag at each token, (B, L, C): the gradient of logZ."""
    emissions = emissions.clone().requires_grad_()
    raised = torch.nn.functional.one_hot(tags.clamp(min=0), emissions.shape[2]) * mask[..., None]
    return raised - torch.autograd.grad(crf(emissions, tags, mask).sum(), emissions)[0]


def log_sum(values):
    return float(torch.tensor(values, dtype=torch.float64).logsumexp(0))


def paths(words):
    return list(product(range(3), repeat=words))


def test_known_answers():
    crf = known()
    scores = [score(crf, EMISSIONS[0], path) for path in product(range(2), repeat=2)]
    assert scores == pytest.approx([1.5, 1.8, -1.0, 1.0])
    tags = torch.tensor([[0, 1]])
    assert -crf(EMISSIONS, tags).item() == pytest.approx(0.811356, abs=1e-6)
    assert 1.8 - crf(EMISSIONS, tags).item() == pytest.approx(2.611356, abs=1e-6)
    assert crf.decode(EMISSIONS).tolist() == [[0, 1]]
    shares = shares_of_tags(crf, EMISSIONS, tags, torch.ones(1, 2).bool())[0, 0]
    assert shares.tolist() == pytest.approx([0.7734, 0.2266], abs=5e-5)
    assert -crf(EMISSIONS, torch.tensor([[-100, 1]])).item() == pytest.approx(0.440255, abs=1e-6)


@given(case=CASES)
def test_the_likelihood_is_that_of_brute_force_for_full_and_partial_labels(case):
    crf, emissions, tags, mask = drawn(**case)
    for row, likelihood in enumerate(crf(emissions, tags, mask).tolist()):
        words = int(mask[row].sum())
        if not words:
            assert likelihood == 0
            continue
        every = {path: score(crf, emissions[row, :words], path) for path in paths(words)}
        wanted = tags[row, :words].tolist()
        agreeing = [
            each
            for path, each in every.items()
            if all(tag in (-100, found) for tag, found in zip(wanted, path, strict=True))
        ]
        expected = log_sum(agreeing) - log_sum(list(every.values()))
        assert likelihood == pytest.approx(expected, abs=1e-9, rel=1e-9)


@given(case=CASES, constrained=st.booleans())
def test_decoding_finds_the_best_path_among_those_allowed(case, constrained):
    moves = BIO.moves() if constrained else None
    crf, emissions, _, mask = drawn(**case, moves=moves)
    decoded = crf.decode(emissions, mask)
    assert (decoded[~mask] == -100).all()
    for row in range(len(mask)):
        words = int(mask[row].sum())
        if not words:
            continue
        ways = [p for p in paths(words) if not constrained or BIO.valid(np.array([p]))[0]]
        best = max(ways, key=lambda path: score(crf, emissions[row, :words], path))
        assert decoded[row, :words].tolist() == list(best)


@given(case=CASES)
def test_a_likelihood_over_valid_paths_is_that_of_brute_force(case):
    crf, emissions, _, mask = drawn(**case, moves=BIO.moves())
    crf.constrained.fill_(True)
    tags = crf.decode(emissions, mask)  # valid, so it may be a label
    for row, likelihood in enumerate(crf(emissions, tags, mask).tolist()):
        words = int(mask[row].sum())
        if words:
            ways = [path for path in paths(words) if BIO.valid(np.array([path]))[0]]
            total = log_sum([score(crf, emissions[row, :words], path) for path in ways])
            gold = score(crf, emissions[row, :words], tags[row, :words].tolist())
            assert likelihood == pytest.approx(gold - total, abs=1e-9, rel=1e-9)


@given(case=CASES, constrained=st.booleans())
def test_the_gradient_lowers_every_tag_by_its_share_of_the_paths(case, constrained):
    crf, emissions, _, mask = drawn(**case, moves=BIO.moves())
    crf.constrained.fill_(constrained)
    tags = crf.decode(emissions, mask)
    shares = shares_of_tags(crf, emissions, tags, mask)
    assert (shares[~mask] == 0).all()
    assert_close(shares.sum(-1), mask.double())
    for row in range(len(mask)):
        words = int(mask[row].sum())
        if not words:
            continue
        ways = [p for p in paths(words) if not constrained or BIO.valid(np.array([p]))[0]]
        scores = [score(crf, emissions[row, :words], path) for path in ways]
        parts = [math.exp(each - log_sum(scores)) for each in scores]
        for place, tag in product(range(words), range(3)):
            share = sum(p for p, path in zip(parts, ways, strict=True) if path[place] == tag)
            assert shares[row, place, tag].item() == pytest.approx(share, abs=1e-9)


@given(case=CASES)
def test_padding_leaves_no_trace_even_if_it_is_nan(case):
    crf, emissions, tags, mask = drawn(**case)
    expected = crf(emissions, tags, mask)
    gradients = gradients_of(crf, expected)
    longer = torch.nn.functional.pad(emissions, (0, 0, 0, 2))
    mask = torch.nn.functional.pad(mask, (0, 2))
    tags = torch.nn.functional.pad(tags, (0, 2), value=7)  # no tag at all
    spoilt = longer.masked_fill(~mask.unsqueeze(2), torch.nan).requires_grad_()
    found = crf(spoilt, tags, mask)
    assert_close(found, expected)
    assert torch.autograd.grad(found.sum(), spoilt, retain_graph=True)[0].isfinite().all()
    assert_close(gradients_of(crf, found), gradients)


def test_tags_that_no_path_reaches_do_not_make_nan_gradients():
    crf = CRF(3, BIO.moves())
    crf.constrained.fill_(True)
    likelihood = crf(torch.zeros(1, 2, 3), torch.tensor([[0, 0]]))
    assert_close(likelihood, torch.tensor([-math.log(5)]))  # 5 valid sequences of two words
    likelihood.sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in crf.parameters())


@given(seed=st.integers(0, 2**32))
def test_half_precision_is_added_up_in_single_precision(seed):
    crf, emissions, tags, mask = drawn(seed, 3, 4, 0.3, 1.0)
    crf, emissions = crf.float(), emissions.bfloat16()
    assert crf(emissions, tags, mask).dtype == torch.float32
    assert_close(crf(emissions, tags, mask), crf(emissions.float(), tags, mask))


@pytest.mark.parametrize("moves", [None, BIO.moves()], ids=["free", "bio"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_narrow_scores_of_moves_are_added_up_in_single_precision(moves, dtype):
    torch.manual_seed(0)
    narrow, wide = CRF(3, moves).to(dtype), CRF(3, moves)
    with torch.no_grad():
        for one, other in zip(narrow.parameters(), wide.parameters(), strict=True):
            other.copy_(one.copy_(torch.randn(one.shape)))
    emissions = torch.randn(4, 60, 3)
    tags = torch.randint(0, 3, (4, 60))
    for constrained in (False, True):
        for crf in (narrow, wide):
            crf.constrained.fill_(constrained)
        assert_close(narrow(emissions, tags), wide(emissions, tags))
        assert torch.equal(narrow.decode(emissions), wide.decode(emissions))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"emissions": torch.zeros(1, 2, 2)}, r"shape \(1, 2, 2\), expected \(B, L, 3\)"),
        ({"emissions": torch.zeros(1, 0, 3)}, r"shape \(1, 0, 3\), expected \(B, L, 3\)"),
        ({"tags": torch.tensor([[0]])}, r"tags have the shape \(1, 1\), expected \(1, 2\)"),
        ({"mask": torch.ones(1, 1)}, r"mask has the shape \(1, 1\), expected \(1, 2\)"),
        ({"mask": torch.tensor([[False, True]])}, "a token after padding in row 0"),
    ],
)
def test_what_does_not_fit_is_told(changed, message):
    given = {"emissions": torch.zeros(1, 2, 3), "tags": torch.tensor([[0, 1]]), **changed}
    with pytest.raises(InputError, match=message):
        CRF(3)(**given)


@given(case=CASES)
def test_partly_labelled_gradients_are_those_of_the_sum_over_all_ways_to_fill_the_gaps(case):
    crf, emissions, tags, mask = drawn(**{**case, "rows": 1, "length": 3, "gaps": 0.5})
    words = int(mask[0].sum())
    if not words:
        return
    wanted = tags[0, :words].tolist()
    ways = [
        torch.tensor([path])
        for path in paths(words)
        if all(tag in (-100, found) for tag, found in zip(wanted, path, strict=True))
    ]
    given = emissions[:, :words]
    filled = torch.stack([crf(given, way) for way in ways]).logsumexp(0)
    assert_close(gradients_of(crf, crf(emissions, tags, mask)), gradients_of(crf, filled))


@given(seed=st.integers(0, 2**32))
def test_it_agrees_with_pytorch_crf(seed):
    torchcrf = pytest.importorskip("torchcrf", reason="pytorch-crf is not installed")
    crf, emissions, tags, mask = drawn(seed, 4, 5, 0.0, 2.0)
    mask[:, 0] = True  # it has no sequences of length 0
    tags = tags.where(mask & (tags != -100), 0)
    other = torchcrf.CRF(3, batch_first=True).double()
    other.transitions.data = crf.transitions.data
    other.start_transitions.data, other.end_transitions.data = crf.start.data, crf.end.data
    assert_close(crf(emissions, tags, mask), other(emissions, tags, mask, reduction="none"))
    decoded = [row[row != -100].tolist() for row in crf.decode(emissions, mask)]
    assert decoded == other.decode(emissions, mask)
