"""A bag of n-grams: the mean of their vectors, a linear model at the start, cheap to balance."""

import pytest
import torch

from motet.balancing import backward, create
from motet.encoders import Bag
from motet.model import MultiTaskModel
from motet.problems import InputError
from motet.tasks import Classification
from motet.training.passes.draws import RowDraws
from motet.training.plan import Share

GRAMS = torch.tensor([[3, 1, 3, 0], [2, 0, 0, 0], [0, 0, 0, 0]])


def made(**options):
    torch.manual_seed(0)
    return Bag(width=3, buckets=5, **{"start": "random", **options}).double()


@pytest.mark.parametrize("pool", ["mean", "root"])
def test_a_bag_is_the_sum_of_its_vectors_divided_by_their_number_or_its_root(pool):
    encoder = made(pool=pool).eval()
    found = encoder({"grams": GRAMS})
    for row, grams in zip(found, GRAMS.tolist(), strict=True):
        read = [encoder.vectors.weight[gram] for gram in grams if gram]
        naive = torch.zeros(3, dtype=torch.float64)
        for vector in read:
            naive = naive + vector
        naive = naive / (max(len(read), 1) ** (1 if pool == "mean" else 0.5))
        torch.testing.assert_close(row, naive)


def test_a_text_is_encoded_alike_with_more_padding_and_as_other_integers():
    encoder = made().eval()
    wide = torch.cat([GRAMS, torch.zeros(3, 5).long()], dim=1)
    assert torch.equal(encoder({"grams": wide.int()}), encoder({"grams": GRAMS}))


@pytest.mark.parametrize(("pool", "divisor"), [("mean", 4), ("root", 2)])
def test_dropout_leaves_out_n_grams_only_in_training_and_features_keep_their_size(pool, divisor):
    encoder = made(dropout=0.3, pool=pool)
    with torch.no_grad():
        encoder.vectors.weight[1:5] = torch.eye(4, 3).double()
    texts = {"grams": torch.tensor([[1, 2, 3, 4]]).expand(20_000, 4)}
    whole = torch.ones(3).double() / divisor
    dropped = encoder(texts)
    assert {0.0, 1 / 2, 1.0} < {round(each * divisor / 4, 3) for each in dropped[:, 0].tolist()}
    torch.testing.assert_close(dropped.mean(0), whole * (1 - 0.3**4), rtol=0.03, atol=0)
    torch.testing.assert_close(encoder.eval()(texts), whole.expand(20_000, 3))


def test_a_row_loses_the_same_n_grams_in_whichever_process_it_is():
    encoder = made(dropout=0.5)
    grams = torch.randint(1, 6, (6, 9))
    torch.manual_seed(1)
    whole = encoder({"grams": grams})
    for places in (slice(0, 2), slice(2, 6)):
        torch.manual_seed(1)
        own = grams[places]
        with RowDraws(len(own), Share(places, 6), {}):
            assert torch.equal(encoder({"grams": own}), whole[places])


def test_the_first_step_from_a_linear_start_is_that_of_logistic_regression():
    """The change of the logits is that of a linear model, times W Wᵀ of the head."""
    encoder = made(start="linear", pool="mean", dropout=0.0)
    head = torch.nn.Linear(3, 4).double()
    labels = torch.tensor([1, 3, 0])

    def logits():
        return head(encoder({"grams": GRAMS}))

    assert torch.equal(logits(), head.bias.expand(3, 4))
    torch.nn.functional.cross_entropy(logits(), labels).backward()
    counts = torch.zeros(3, 6).double().scatter_add_(1, GRAMS, torch.ones(3, 4).double())
    shares = counts[:, 1:] / counts[:, 1:].sum(1, keepdim=True).clamp(min=1)
    linear = torch.nn.Linear(5, 4).double()
    torch.nn.init.zeros_(linear.weight)
    with torch.no_grad():
        linear.bias.copy_(head.bias)
    torch.nn.functional.cross_entropy(linear(shares), labels).backward()
    gradient = encoder.vectors.weight.grad[1:]  # (5, 3)
    torch.testing.assert_close(gradient, linear.weight.grad.T @ head.weight)


def test_an_n_gram_that_no_training_text_has_stays_without_effect():
    encoder = made(start="linear", dropout=0.0)
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        (encoder({"grams": GRAMS}) - 1).square().sum().backward()
        optimizer.step()
    encoder.eval()
    assert encoder({"grams": torch.tensor([[4, 5]])}).abs().max() == 0
    assert encoder({"grams": torch.tensor([[1]])}).abs().max() > 0


@pytest.mark.parametrize("pool", ["mean", "root"])
def test_balancers_read_the_rows_used_alone_and_get_the_gradients_of_whole_tables(pool):
    encoder = Bag(width=3, buckets=6000, start="random", pool=pool, dropout=0.0)
    tasks = [Classification("a", classes=2), Classification("b", classes=3)]
    model = MultiTaskModel(encoder, tasks).double()
    labels = {"a": torch.tensor([0, 1, 1]), "b": torch.tensor([2, 0, 1])}
    gradients = {}
    for gramian in ("auto", "rows"):
        model.zero_grad()
        losses = model.losses(model({"grams": 700 * GRAMS}), labels)
        balancer = create("mgda", tasks=["a", "b"])
        result = backward(losses, balancer, shared=encoder, gramian=gramian)
        gradients[result.path] = encoder.vectors.weight.grad
    torch.testing.assert_close(gradients["tables"], gradients["rows"])
    used = gradients["tables"].abs().sum(1).nonzero().flatten()
    assert used.tolist() == [700, 1400, 2100]


@pytest.mark.parametrize("training", [True, False])
def test_a_batch_of_texts_without_any_n_gram_is_zeros(training):
    found = made().train(training)({"grams": torch.zeros(2, 0, dtype=torch.long)})
    assert torch.equal(found, torch.zeros(2, 3).double())


def test_what_is_no_bag_is_refused():
    with pytest.raises(InputError, match=r"expected the n-grams of texts"):
        made()(GRAMS)
    with pytest.raises(InputError, match=r"n-grams up to 9, expected up to 5.*same buckets"):
        made()({"grams": torch.tensor([[9]])})
    with pytest.raises(InputError, match=r"n-grams of torch.float32, expected whole numbers"):
        made()({"grams": torch.ones(1, 2)})
    with pytest.raises(InputError, match=r"characters: found \[5, 3\]"):
        Bag(characters=(5, 3))
