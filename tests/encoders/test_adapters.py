"""Adapters in pretrained encoders: what they change, what stays frozen, and what tasks share."""

import sys
import warnings

import numpy as np
import pytest
import torch
from gloo import in_processes
from pretrained_models import tiny, transformers
from quick_cases import others_slow
from torch import nn
from torch.testing import assert_close

import motet
from motet.encoders import MLP, Joined, Pretrained
from motet.problems import InputError
from motet.tasks import Classification, MaskedLanguageModelling, Vocabulary

peft = pytest.importorskip("peft")

LORA = {"type": "lora", "rank": 2}
IDS = torch.tensor([[5, 9, 3, 2], [7, 4, 0, 0], [1, 2, 3, 0]])
TASKS = ["mood", "thing"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bert")
    tiny(folder)
    return str(folder)


def encoder(folder, **adapter):
    torch.manual_seed(1)
    return Pretrained(path=folder, adapter={**LORA, **adapter}).eval()


def model_of(encoder, **options):
    model = motet.MultiTaskModel(encoder, [Classification(t, classes=2) for t in TASKS], **options)
    return model.eval()


def trained(model):
    """Give adapters weights as if they had been trained."""
    torch.manual_seed(2)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter)
    return model


def grads_of(model, task):
    (raw,) = model(IDS, [task]).values()
    found = {n: p for n, p in model.named_parameters() if p.requires_grad}
    grads = torch.autograd.grad(raw.square().sum(), found.values(), allow_unused=True)
    return {n: g for n, g in zip(found, grads, strict=True) if g is not None}


@pytest.mark.parametrize(
    "kind", ["bert", "distilbert", "albert", "mpnet", "modernbert", "t5", "gpt2"]
)
@torch.no_grad()  # a frozen and a trained T5 use other kernels
def test_a_new_adapter_leaves_states_as_they_are_to_the_last_bit(kind, tmp_path):
    tiny(tmp_path, kind)
    expected = Pretrained(path=str(tmp_path)).eval()(IDS)
    for per_task in (False, True):
        model = model_of(encoder(str(tmp_path), per_task=per_task))
        found = model.states(IDS)
        assert all(torch.equal(found[task], expected.pooled) for task in TASKS)
        assert model.describe()["adapters"]


@pytest.mark.parametrize("per_task", [False, True])
def test_training_changes_adapters_and_heads_alone(folder, per_task):
    model = model_of(encoder(folder, per_task=per_task))
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    data = (IDS.repeat(8, 1).numpy(), {task: [0, 1, 1] * 8 for task in TASKS})
    trainer = motet.Trainer(model, balancer="pcgrad", batch_size=6, patience=None)
    trainer.fit(data, epochs=2)
    changed = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert {name for name in before if "lora_" in name} <= changed
    assert all("lora_" in name or name.startswith("heads") for name in changed)
    base = [p for name, p in model.named_parameters() if name not in changed]
    assert all(p.grad is None for p in base)
    seen = {id(p) for group in trainer.optimizer.param_groups for p in group["params"]}
    assert seen.isdisjoint(map(id, base))


def test_gradient_balancers_see_the_gradients_of_adapters_alone(folder):
    model = model_of(encoder(folder))
    losses = [raw.square().mean() for raw in model(IDS).values()]
    motet.backward(losses, motet.balancing.create("upgrad", tasks=TASKS))
    with_gradient = {name for name, p in model.named_parameters() if p.grad is not None}
    assert with_gradient
    assert all("lora_" in name or name.startswith("heads") for name in with_gradient)
    shared = [p for p in model.shared_parameters() if p.requires_grad]
    assert sum(p.numel() for p in shared) == 3 * 2 * (2 * 2 * 16)  # layers, q and v, A and B


def test_each_task_computes_as_peft_does_with_the_adapter_that_was_written(folder, tmp_path):
    model = trained(model_of(encoder(folder, per_task=True, targets="all-linear")))
    model.sharing.scheme.stages[0].write_adapters(tmp_path)
    states = model.states(IDS)
    assert not torch.equal(states["mood"], states["thing"])
    for task in TASKS:
        base = transformers.AutoModel.from_pretrained(folder)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # what peft reads of transformers
            theirs = peft.PeftModel.from_pretrained(base, tmp_path / task).eval()
        given = theirs(IDS, attention_mask=(IDS != 0).long()).last_hidden_state
        real = (IDS != 0)[..., None]
        assert_close(states[task], (given * real).sum(1) / real.sum(1), rtol=0, atol=0)
        assert (tmp_path / task / "adapter_model.safetensors").stat().st_size < 2e6


def test_frozen_layers_below_the_first_adapter_and_other_encoders_run_once(folder):
    text, table = encoder(folder, per_task=True, layers=[3]), MLP(2, hidden=(4,))
    model = trained(model_of(Joined(table, {"text": text})))
    calls = []
    first, last = text.model.encoder.layer[0], text.model.encoder.layer[2]
    for name, module in (("first", first.output.dense), ("last", last.output.dense)):
        module.register_forward_hook(lambda *_, name=name: calls.append(name))
    next(each for each in table.modules() if isinstance(each, nn.Linear)).register_forward_hook(
        lambda *_: calls.append("table")
    )
    inputs = {"numbers": torch.ones(3, 2), "texts": {"text": IDS}}
    found = model.states(inputs)
    assert sorted(calls) == ["first", "last", "last", "table"]
    for task in TASKS:  # alone, so that nothing is kept
        assert torch.equal(found[task], model.states(inputs, task)[task])


def test_gradients_are_those_of_tasks_computed_alone_also_with_checkpointing(folder):
    model = trained(model_of(encoder(folder, per_task=True, layers=[2, 3])))
    torch.manual_seed(1)
    saving = Pretrained(
        path=folder, adapter={**LORA, "per_task": True, "layers": [2, 3]}, checkpointing=True
    )
    saving = model_of(saving)
    saving.load_state_dict(model.state_dict())
    expected = {task: grads_of(model, task) for task in TASKS}
    for each in (model, saving):
        each.train()
        for module in each.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
            if hasattr(module, "dropout_prob") or hasattr(module, "attention_dropout"):
                module.attention_dropout = 0.0
        raw = each(IDS)
        sum(r.square().sum() for r in raw.values()).backward()
        for name, parameter in each.named_parameters():
            parts = [expected[task][name] for task in TASKS if name in expected[task]]
            assert (parameter.grad is None) == (not parts)
            if parts:
                assert_close(parameter.grad, sum(parts))
    assert expected["mood"].keys().isdisjoint(n for n in expected["thing"] if "lora_" in n)


def test_a_task_owns_its_adapter_and_a_new_task_gets_one(folder):
    model = trained(model_of(encoder(folder, per_task=True)))
    before = model.states(IDS)
    own = {id(p) for p in model.task_parameters("mood")}
    names = [name for name, p in model.named_parameters() if id(p) in own]
    assert sum("lora_" in name for name in names) == 12
    assert not any("task_thing" in name for name in names)
    model.add_task(Classification("late", classes=3))
    after = model.states(IDS)
    assert all(torch.equal(after[task], before[task]) for task in TASKS)
    assert len(model.task_parameters("late")) == 14
    assert all(p.requires_grad for p in model.task_parameters("late"))


@pytest.mark.parametrize("scheme", ["soft", "cross_stitch", "progressive"])
def test_copies_of_an_encoder_begin_with_adapters_that_change_nothing(folder, scheme):
    options = {"lateral": False} if scheme == "progressive" else {}
    own = encoder(folder, targets=["query", "word_embeddings"])
    model = model_of(own, sharing=motet.sharing.create(scheme, **options))
    outer = {n: p for n, p in model.named_parameters() if n.endswith(("lora_B.shared.weight",))}
    assert len(outer) == 6
    assert not any(p.any() for p in outer.values())
    first, second = (each for each in model.modules() if isinstance(each, Pretrained))
    expected = Pretrained(path=folder).eval()(IDS).pooled
    assert torch.equal(first(IDS).pooled, expected)
    assert torch.equal(second(IDS).pooled, expected)
    inner = [each.model.encoder.layer[0].attention.self.query.lora_A for each in (first, second)]
    assert not torch.equal(*(each["shared"].weight for each in inner))


def fitted(folder, per_task, **options):
    model = model_of(encoder(folder, per_task=per_task))
    ids = np.random.default_rng(0).integers(1, 60, (24, 4))
    data = (ids, {task: ids[:, n] % 2 for n, task in enumerate(TASKS)})
    motet.Trainer(model, "upgrad", batch_size=8, patience=None, **options).fit(data, epochs=1)
    return {name: p.detach() for name, p in model.named_parameters()}


@pytest.mark.parametrize("per_task", others_slow([True], [False, True]))
def test_two_processes_train_adapters_as_one_does(folder, per_task):
    torch.manual_seed(3)
    expected = fitted(folder, per_task)
    for found in in_processes(2, lambda: torch.manual_seed(3) and fitted(folder, per_task)):
        for name, each in expected.items():
            assert_close(found[name], each, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("per_task", "options"),
    [(True, {"precision": "bfloat16"}), (False, {"average": "ema"}), (True, {"average": "ema"})],
)
def test_the_model_stays_as_it_is_to_the_last_bit(folder, per_task, options):
    new = dict(model_of(encoder(folder, per_task=per_task)).named_parameters())
    found = fitted(folder, per_task, **options)
    for name, each in new.items():
        trained = "lora_" in name or name.startswith("heads")
        assert trained != torch.equal(found[name], each)


def test_tasks_that_are_disabled_keep_their_adapters(folder):
    model = trained(model_of(encoder(folder, per_task=True)))
    model.disable_task("thing")
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    model.add_task(Classification("late", classes=2))
    data = (IDS.repeat(4, 1).numpy(), {task: [0, 1, 1] * 4 for task in ("mood", "late")})
    motet.Trainer(model, batch_size=6, patience=None).fit(data, epochs=1)
    changed = {n for n, p in before.items() if not torch.equal(p, model.get_parameter(n))}
    assert changed
    assert not any("thing" in name for name in changed)
    assert any("lora_" in name for name in changed)
    late = {n for n, p in model.named_parameters() if "lora_B.task_late" in n and p.any()}
    assert len(late) == 6
    model.enable_task("thing")
    assert set(model.states(IDS)) == {"mood", "thing", "late"}


@pytest.mark.parametrize(
    ("kind", "linear"), [("bert", 6), ("gpt2", 4), ("t5", 6), ("modernbert", 4), ("distilbert", 6)]
)
def test_adapters_of_some_layers_are_in_these_alone(tmp_path, kind, linear):
    tiny(tmp_path, kind)
    for targets, count in ((None, 2), ("all-linear", linear)):
        given = {"layers": [2]} | ({"targets": targets} if targets else {})
        own = encoder(str(tmp_path), **given)
        names = [n for n, _ in own.named_parameters() if "lora_A" in n]
        count = 1 if targets is None and kind in ("gpt2", "modernbert") else count  # q, k, v in one
        assert len(names) == count
        place = {"bert": "layer.1.", "gpt2": "h.1.", "t5": "block.1.", "modernbert": "layers.1."}
        assert all(place.get(kind, "layer.1.") in name for name in names)


def test_unfreezing_never_reaches_what_an_adapter_is_beside(folder):
    model = model_of(encoder(folder))
    model.freeze("pretrained", evaluation=True)
    assert model.sharing.stages[0].frozen
    model.unfreeze("pretrained")
    trained = [n for n, p in model.named_parameters() if p.requires_grad]
    assert all("lora_" in name or name.startswith("heads") for name in trained)
    assert sum("lora_" in name for name in trained) == 12
    plan = [{"epoch": 2, "parts": ["*embeddings*"]}]
    with pytest.raises(InputError, match="what an adapter is beside stays frozen"):
        motet.Trainer(model, freeze=["pretrained"], unfreeze=plan)


def test_layer_decay_lowers_the_rates_of_adapters_in_lower_layers(folder):
    trainer = motet.Trainer(model_of(encoder(folder)), layer_decay=0.5)
    rates = {
        id(p): g["lr"] for g in trainer.optimizer.param_groups if "rate" in g for p in g["params"]
    }
    found = {
        int(n.partition("layer.")[2][0]): rates[id(p)]
        for n, p in trainer.model.named_parameters()
        if "lora_" in n
    }
    assert found[0] == found[1] / 2 == found[2] / 4


def test_merged_encoders_compute_the_same_without_adapters(folder):
    shared = trained(encoder(folder))
    plain = shared.merged()
    assert_close(plain(IDS).states, shared(IDS).states, rtol=1e-4, atol=1e-5)
    assert not any("lora_" in name for name, _ in plain.named_parameters())
    assert all(p.requires_grad for p in plain.parameters())
    assert shared.adapters() == {"shared": 12 * 32}
    model = trained(model_of(encoder(folder, per_task=True)))
    own = model.sharing.scheme.stages[0].merged("thing")
    assert_close(own(IDS).pooled, model.states(IDS)["thing"], rtol=1e-4, atol=1e-5)
    with pytest.raises(InputError, match="expected the name of an adapter: mood, thing"):
        model.sharing.scheme.stages[0].merged()


@pytest.mark.parametrize(
    ("adapter", "message"),
    [
        (
            {"targets": ["queri"]},
            "adapter: peft cannot make it: Target modules .* modules of the model: .*query",
        ),
        ({"targets": ["query", "queri"]}, "adapter.targets: found 'queri', .*such as query"),
        ({"targets": []}, "adapter.targets: found \\[\\]"),
        ({"targets": ["LayerNorm"]}, "adapter: peft cannot make it: .*LayerNorm"),
        ({"layers": [1, 4]}, "adapter.layers: found 4, but the model has no layer"),
        ({"layers": [4]}, "adapter.layers: found 4, but the model has no layer"),
        ({"merge": True, "per_task": True}, "adapter.merge: found it with per_task"),
        ({"rank": 0}, "rank"),
        ({"ranks": 4}, "ranks"),
    ],
)
def test_adapters_that_do_not_fit_are_refused_with_the_reason(folder, adapter, message):
    with pytest.raises(InputError, match=message):
        encoder(folder, **adapter)


def test_what_cannot_have_adapters_per_task_is_refused(folder, monkeypatch):
    own = encoder(folder, per_task=True)
    with pytest.raises(InputError, match="no scheme joins"):
        model_of(own, sharing=motet.sharing.create("mmoe", experts=2, expert_width=4))
    vocabulary = Vocabulary(60, (0, 1, 2), mask=1)
    masked = MaskedLanguageModelling("masked", vocabulary=vocabulary)
    with pytest.raises(InputError, match="'masked' would train an adapter of its own"):
        motet.MultiTaskModel(own, [Classification("mood", classes=2), masked])
    with pytest.raises(InputError, match="compile: found true and an encoder with adapters"):
        motet.Trainer(model_of(encoder(folder, per_task=True)), compile=True)
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(InputError, match=r'pip install "motet\[adapters\]"'):
        encoder(folder)
