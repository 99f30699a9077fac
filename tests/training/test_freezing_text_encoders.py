"""Encoders of texts in training: unfreezing told, learned and resumed exactly; bfloat16."""

import json

import numpy as np
import pytest
import torch
from quick_cases import others_slow

from motet.encoders import LSTM, Pretrained, Transformer
from motet.model import MultiTaskModel
from motet.problems import InputError
from motet.tasks import Classification, Regression
from motet.training import Trainer

RNG = np.random.default_rng(0)
IDS = RNG.integers(1, 30, (24, 5))
IDS[::2, 3:] = 0
DATA = ({"ids": IDS}, {"a": IDS[:, 0] % 2, "b": RNG.normal(size=24).astype(np.float32)})
BERT = {"vocab_size": 30, "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 2}
BERT |= {"model_type": "bert", "num_attention_heads": 2, "max_position_embeddings": 8}


def pretrained():
    pytest.importorskip("transformers")
    return Pretrained(architecture=BERT)


ENCODERS = {
    "lstm": lambda: LSTM(30, width=8, layers=2),
    "transformer": lambda: Transformer(30, width=8, heads=2, layers=2),
    "pretrained": pretrained,
}


def fresh(name):
    torch.manual_seed(0)
    model = MultiTaskModel(ENCODERS[name](), [Classification("a", classes=2), Regression("b")])
    options = {"freeze": ["encoder"], "unfreeze": {"every": 1}}
    return Trainer(model, "pcgrad", batch_size=8, patience=None, learning_rate=0.01, **options)


@pytest.mark.parametrize("name", ENCODERS)
def test_each_epoch_moves_what_its_record_says_was_trained(name):
    trainer = fresh(name)
    model, counts = trainer.model, []
    for _ in range(4):
        before = {n: p.detach().clone() for n, p in model.named_parameters()}
        trainer.train_epoch(DATA)
        told = trainer.history.records[-1]["trained"]
        trained = {n for n, p in model.named_parameters() if p.requires_grad}
        moved = {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}
        assert moved <= trained
        assert {n.rsplit(".", 1)[0] for n in moved} == {n.rsplit(".", 1)[0] for n in trained}
        assert told["parameters"] == sum(model.get_parameter(n).numel() for n in trained)
        counts.append(told["parameters"])
    assert counts == sorted(set(counts))
    assert counts[-1] == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("stop", others_slow([5], [2, 5, 9]))
def test_a_run_resumed_inside_unfreezing_is_the_same_to_the_last_bit(name, stop):
    whole, first, second = (fresh(name) for _ in range(3))
    whole.fit(DATA, DATA, epochs=4)
    states = []
    first.on_checkpoint = lambda _: states.append(first.state())
    step = first.train_step

    def counted(batch):
        result = step(batch)
        first.stop_requested = first.step == stop
        return result

    first.train_step = counted
    with pytest.raises(KeyboardInterrupt):
        first.fit(DATA, DATA, epochs=4)
    tensors, header = states[-1]
    second.load_state({n: t.clone() for n, t in tensors.items()}, json.loads(json.dumps(header)))
    assert second.model.frozen == first.model.frozen
    second.fit(DATA, DATA, epochs=4)
    for key, value in whole.model.state_dict().items():
        assert torch.equal(second.model.state_dict()[key], value), key


@pytest.mark.parametrize("balancer", ["equal", "mgda"])
def test_bfloat16_gives_nearly_the_gradients_of_float32(balancer):
    found = []
    batch = {"inputs": {"ids": torch.from_numpy(IDS)}}
    batch["targets"] = {name: torch.from_numpy(label) for name, label in DATA[1].items()}
    for precision in ("float32", "bfloat16"):
        torch.manual_seed(0)
        model = MultiTaskModel(pretrained(), [Classification("a", classes=2), Regression("b")])
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        trainer = Trainer(model, balancer, precision=precision)
        result = trainer.train_step(batch)
        gradient = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
        assert gradient.dtype == torch.float32
        found.append((torch.stack(list(result.losses.values())), gradient))
    (losses, plain), (others, coarse) = found
    torch.testing.assert_close(others, losses, rtol=0.02, atol=0.01)
    assert 0 < (coarse - plain).norm() < 0.03 * plain.norm()


@pytest.mark.parametrize("gramian", ["auto", "rows"])
def test_balanced_gradients_of_a_pretrained_encoder_in_bfloat16_are_added_up_in_float32(gramian):
    torch.manual_seed(0)
    model = MultiTaskModel(pretrained(), [Classification("a", classes=2), Regression("b")])
    trainer = Trainer(
        model, {"type": "mgda", "gramian": gramian}, precision="bfloat16", batch_size=8
    )
    before = trainer.evaluate(DATA)["a"]["log_loss"]
    trainer.fit(DATA, epochs=3)
    assert trainer.evaluate(DATA)["a"]["log_loss"] < before
    assert {p.grad.dtype for p in model.parameters()} == {torch.float32}
    found = trainer.predict(DATA[0])
    assert found["a"].dtype == np.int64
    assert found["b"].dtype == np.float64  # original units


def test_products_of_float32_weights_are_not_to_be_had_in_bfloat16():
    model = MultiTaskModel(ENCODERS["lstm"](), [Classification("a", classes=2), Regression("b")])
    chosen = {"type": "mgda", "gramian": "layers"}
    with pytest.raises(InputError, match=r"precision: found bfloat16.*gramian: layers"):
        Trainer(model, chosen, precision="bfloat16")
    Trainer(model, chosen)
