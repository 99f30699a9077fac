"""Auxiliary tasks on tokens read the encoder, where the scheme carries one state per row."""

import copy

import pytest
import torch

import motet
from motet.encoders import LSTM
from motet.problems import InputError
from motet.tasks import Classification, MaskedLanguageModelling, Regression, Vocabulary

IDS = torch.randint(5, 30, (12, 7), generator=torch.Generator().manual_seed(0))
TARGETS = {"a": torch.arange(12) % 2, "b": IDS.float().mean(1)}
BATCH = {"inputs": {"ids": IDS}, "targets": TARGETS}
SCHEMES = {
    "mmoe": {"experts": 2, "expert_width": 6},
    "cgc": {"experts": 2, "expert_width": 6},
    "ple": {"experts": 2, "levels": 2, "expert_width": 6},
    "dselect_k": {"experts": 4, "expert_width": 6},
    "attention": {"width": 8},
}


def made(scheme, *auxiliary):
    torch.manual_seed(0)
    tasks = [Classification("a", classes=2), Regression("b"), *auxiliary]
    sharing = motet.sharing.create(scheme, **SCHEMES[scheme])
    return motet.MultiTaskModel(LSTM(30, width=8, dropout=0.0), tasks, sharing=sharing)


def words(**options):
    vocabulary = Vocabulary(30, (0, 1, 2), mask=1)
    return MaskedLanguageModelling("words", vocabulary=vocabulary, **options)


@pytest.mark.parametrize("scheme", list(SCHEMES))
def test_it_trains_the_encoder_and_nothing_of_the_scheme(scheme):
    model = made(scheme, words())
    encoder = {id(p) for m in model.modules() if isinstance(m, LSTM) for p in m.parameters()}
    target = torch.where(torch.rand(IDS.shape) < 0.5, IDS, -100)
    model.losses(model(IDS, ["words"], {"words": target}), {"words": target})["words"].backward()
    reached = {id(p) for p in model.parameters() if p.grad is not None and p.grad.any()}
    head = {id(p) for p in model.heads["words"].parameters()}
    assert reached == encoder | head
    assert set(map(id, model.task_parameters("words"))) == head
    assert encoder <= set(map(id, model.shared_parameters()))


@pytest.mark.parametrize("scheme", list(SCHEMES))
def test_the_others_compute_what_they_compute_without_it(scheme):
    alone, both = made(scheme).eval(), made(scheme, words()).eval()
    for name, tensor in alone.sharing.state_dict().items():
        assert both.sharing.state_dict()[f"scheme.{name}"].equal(tensor)
    for task in ("a", "b"):
        both.heads[task].load_state_dict(alone.heads[task].state_dict())
        assert both(IDS)[task].equal(alone(IDS)[task])
        assert both(IDS, ["words", task])[task].equal(alone(IDS)[task])
    assert both.describe()["sharing"] == alone.describe()["sharing"]
    assert both(IDS, "words")["words"].shape == (12, 7, 30)


def test_a_copy_has_the_encoder_once():
    model = copy.deepcopy(made("mmoe", words()))
    target = torch.where(torch.rand(IDS.shape) < 0.5, IDS, -100)
    model.losses(model(IDS, ["words"], {"words": target}), {"words": target})["words"].backward()
    encoders = [m for m in model.modules() if isinstance(m, LSTM)]
    assert len(encoders) == 1
    assert encoders[0].embedding.tokens.weight.grad.any()


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("balancer", ["dwa", "pcgrad", "uncertainty"])
def test_it_trains_with_every_kind_of_balancer(balancer, balanced):
    trainer = motet.Trainer(made("mmoe", words(balanced=balanced)), balancer)
    result = trainer.train_step(BATCH)
    assert list(result.losses) == ["a", "b", "words"]
    assert ("words" in result.balanced.tasks) == balanced


def test_schemes_without_one_encoder_are_rejected():
    for name, options, end in (
        ("cross_stitch", {}, "hard, or soft$"),
        ("mmoe", {}, "hard, or soft, or give it expert_width$"),
    ):
        sharing = motet.sharing.create(name, **options)
        with pytest.raises(InputError, match=f"task 'words' reads tokens, but this.*{end}"):
            motet.MultiTaskModel(LSTM(30, width=8), [Regression("b"), words()], sharing=sharing)
