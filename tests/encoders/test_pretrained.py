"""Encoders from a folder: the states of transformers, offline, and rebuilt without the folder."""

import json
import re
import shutil
import socket
import sys

import pytest
import torch
from pretrained_models import CONFIGS, MOVED, minilm_dir, needs_minilm, tiny, transformers
from torch import nn

import motet
from motet.encoders.pretrained import Pretrained
from motet.model import MultiTaskModel
from motet.model.layers import layers_of
from motet.problems import InputError
from motet.tasks import Regression
from motet.training.freezing import Freezing
from motet.training.parameter_groups import parameter_groups

WHOLE = ("albert", "mpnet")  # those that transformers cannot checkpoint
TEXTS = ([5, 6, 7, 8], [9, 10], [11])


def padded(texts, first=0):
    """Pad with 0; where the model's token 0 is no padding, tokens are moved up by ``first``."""
    longest = max(1, *map(len, texts))
    moved = [[token + first for token in text] for text in texts]
    return torch.tensor([[*text, *[0] * (longest - len(text))] for text in moved])


@pytest.mark.parametrize("kind", CONFIGS)
def test_states_are_those_of_transformers(kind, tmp_path):
    theirs = tiny(tmp_path, kind)
    first = 1 if kind in MOVED else 0
    given = Pretrained(path=tmp_path).eval()({"ids": padded(TEXTS, first)})
    for row, text in enumerate(TEXTS):
        states = theirs(input_ids=torch.tensor([text])).last_hidden_state[0]
        mine = given.states[row, : len(text)]
        torch.testing.assert_close(mine, states, rtol=0, atol=1e-5)
        torch.testing.assert_close(given.pooled[row], states.mean(0), rtol=0, atol=1e-5)
        assert given.padding[row].tolist() == [place >= len(text) for place in range(4)]


def test_tokens_alone_and_a_padding_mask_are_taken(tmp_path):
    tiny(tmp_path, "bert")
    encoder, ids = Pretrained(path=tmp_path).eval(), padded(TEXTS)
    expected = encoder({"ids": ids})
    other = ids.masked_fill(ids == 0, 7)
    for found in (encoder(ids), encoder(other, padding_mask=ids == 0)):
        torch.testing.assert_close(found.pooled, expected.pooled)
        assert torch.equal(found.padding, expected.padding)


@needs_minilm
def test_a_real_model_gives_the_sentence_vectors_of_transformers():
    path = minilm_dir()
    texts = ["A cat sat on the mat.", "A feline rested on a rug.", "Stocks fell sharply."]
    tokenizer = transformers.AutoTokenizer.from_pretrained(path, local_files_only=True)
    tokens = tokenizer(texts, padding=True, return_tensors="pt")
    theirs = transformers.AutoModel.from_pretrained(path, local_files_only=True).eval()
    encoder = Pretrained(len(tokenizer), 1, path=path).eval()
    with torch.no_grad():
        states = theirs(**tokens).last_hidden_state
        given = encoder({"ids": tokens["input_ids"]})
    real = tokens["attention_mask"].bool()
    torch.testing.assert_close(given.states[real], states[real], rtol=0, atol=1e-5)
    cosine = torch.nn.functional.cosine_similarity(given.pooled[:1], given.pooled[1:])
    assert cosine[0] > 0.5 > 0.2 > cosine[1]


@pytest.mark.parametrize("kind", CONFIGS)
def test_it_is_rebuilt_from_its_architecture_alone(kind, tmp_path):
    tiny(tmp_path / "folder", kind)
    encoder = Pretrained(path=tmp_path / "folder", layers=2, pool="max").eval()
    options = json.loads(json.dumps(encoder.portable_options()))
    shutil.rmtree(tmp_path / "folder")
    assert str(tmp_path) not in json.dumps(options)
    again = Pretrained(**options, layers=2, pool="max").eval()
    again.load_state_dict(encoder.state_dict())
    text = {"ids": padded(TEXTS)}
    assert torch.equal(again(text).pooled, encoder(text).pooled)
    assert again.own_learning_rate == encoder.own_learning_rate == 2e-5


def test_the_first_layers_alone_give_the_states_after_them(tmp_path):
    theirs = tiny(tmp_path)
    hidden = theirs(input_ids=torch.tensor([TEXTS[0]]), output_hidden_states=True).hidden_states
    given = Pretrained(path=tmp_path, layers=2).eval()({"ids": torch.tensor([TEXTS[0]])})
    torch.testing.assert_close(given.states, hidden[2], rtol=0, atol=1e-5)


def test_segments_count_where_the_model_has_them(tmp_path):
    theirs = tiny(tmp_path)
    ids, parts = torch.tensor([TEXTS[0]]), torch.tensor([[0, 0, 1, 1]])
    encoder = Pretrained(60, 2, path=tmp_path).eval()
    states = theirs(input_ids=ids, token_type_ids=parts).last_hidden_state
    torch.testing.assert_close(encoder({"ids": ids, "segments": parts}).states, states)
    with pytest.raises(InputError, match="no segments"):
        encoder({"ids": ids})


def test_a_text_without_a_token_is_zeros(tmp_path):
    tiny(tmp_path)
    encoder = Pretrained(path=tmp_path).eval()
    given = encoder({"ids": padded([[], [5]])})
    assert torch.equal(given.pooled[0], torch.zeros(16))
    assert given.states.isfinite().all()
    assert torch.equal(encoder({"ids": torch.empty(2, 0).long()}).pooled, torch.zeros(2, 16))


def test_checkpointing_changes_no_gradient(tmp_path):
    tiny(tmp_path)
    text = {"ids": padded(TEXTS)}
    plain, sparing = (Pretrained(path=tmp_path, checkpointing=on) for on in (False, True))
    for encoder in (plain, sparing):
        torch.manual_seed(0)
        encoder.train()(text).pooled.square().sum().backward()
    for one, other in zip(plain.parameters(), sparing.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


@pytest.mark.parametrize("kind", [kind for kind in CONFIGS if kind not in WHOLE])
def test_checkpointing_changes_no_task_gradient(kind, tmp_path):
    tiny(tmp_path, kind)
    text, found = {"ids": padded(TEXTS)}, []
    for on in (False, True):
        encoder = Pretrained(path=tmp_path, checkpointing=on).train()
        torch.manual_seed(0)
        states = encoder(text).pooled
        losses = {"a": states.square().mean(), "b": states[:, :4].sin().mean()}
        balancer = motet.balancing.create("mgda", tasks=["a", "b"])
        result = motet.backward(losses, balancer, encoder.parameters(), gramian="rows")
        found.append((result.gramian, *(p.grad for p in encoder.parameters())))
    for one, other in zip(*found, strict=True):  # a Gramian in float64, of float32 gradients
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_no_model_keeps_what_it_would_need_to_go_on_writing(tmp_path):
    tiny(tmp_path, "gpt2")
    given = Pretrained(path=tmp_path).model(torch.tensor([[5, 6]]))
    assert given.last_hidden_state.shape == (1, 2, 16)
    assert given.past_key_values is None


def test_a_model_that_reads_padding_is_refused():
    sizes = {"vocab_size": 60, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
    with pytest.raises(InputError, match=r"fnet reads padding .*such as bert"):
        Pretrained(architecture={"model_type": "fnet", **sizes})


def test_layers_that_are_recomputed_cannot_be_read_as_products(tmp_path):
    tiny(tmp_path)

    def path(checkpointing, frozen=False):
        encoder = Pretrained(path=tmp_path, checkpointing=checkpointing).train()
        encoder.model.embeddings.requires_grad_(not frozen)
        states = encoder({"ids": padded(TEXTS)}).pooled
        losses = {"a": states.square().mean(), "b": states[:, :4].sin().mean()}
        balancer = motet.balancing.create("mgda", tasks=["a", "b"])
        return motet.backward(losses, balancer, gramian="layers").path

    assert path(checkpointing=False) == "layers"
    assert path(checkpointing=True) == "tables"  # which come before what is recomputed
    with pytest.raises(InputError, match="recomputed states"):
        path(checkpointing=True, frozen=True)


@pytest.mark.parametrize("kind", CONFIGS)
def test_layers_are_the_embeddings_and_one_for_each_block(kind, tmp_path):
    tiny(tmp_path, kind)
    encoder = Pretrained(path=tmp_path, learning_rate=1.0)
    model = MultiTaskModel(encoder, [Regression("a"), Regression("b")])
    names = {id(p): name for name, p in encoder.named_parameters()}
    layers = [[names.pop(id(p)) for p in layer] for layer in layers_of(model.sharing.chain())]
    assert not names
    blocks = 1 if kind == "albert" else 3
    assert len(layers) == 1 + blocks
    assert any(
        "embeddings" in name or "embed_tokens" in name or "wte" in name for name in layers[0]
    )
    for number, layer in enumerate(layers[1:]):
        inside = set(names_of_block(encoder, number))
        assert inside <= set(layer)
        assert not any("embed" in name for name in layer)

    plan = Freezing(model, ["encoder"], {"every": 1}, "evaluation").plan
    shared = "sharing.stages.0."
    thawed = {epoch: {name.removeprefix(shared) for name in each} for epoch, each in plan.items()}
    assert thawed == {2 + k: set(layer) for k, layer in enumerate(reversed(layers))}

    groups = parameter_groups(model, nn.Module(), layer_decay=0.5)
    rates = {id(p): group.get("rate", 1.0) for group in groups for p in group["params"]}
    for depth, layer in enumerate(reversed(layers), 1):
        assert {rates[id(encoder.get_parameter(name))] for name in layer} == {0.5**depth}


def names_of_block(encoder, number):
    """Find what one block has: its number is the first in the name."""
    first = {name: re.search(r"\.(\d+)\.", name) for name, _ in encoder.named_parameters()}
    return [name for name, found in first.items() if found and int(found[1]) == number]


@pytest.mark.parametrize("kind", WHOLE)
def test_a_model_that_cannot_recompute_its_layers_is_told(kind, tmp_path):
    tiny(tmp_path, kind)
    with pytest.raises(InputError, match=f"{kind} cannot recompute its layers"):
        Pretrained(path=tmp_path, checkpointing=True)


def test_a_model_of_one_layer_has_its_embeddings_apart(tmp_path):
    tiny(tmp_path)
    encoder = Pretrained(path=tmp_path, layers=1)
    model = MultiTaskModel(encoder, [Regression("a"), Regression("b")])
    assert len(layers_of(model.sharing.chain())) == 2


def test_a_tokenizer_in_the_folder_decides_what_padding_is(tmp_path):
    theirs = tiny(tmp_path)
    vocabulary = {"the": 0, "[PAD]": 1}
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": {"vocab": vocabulary}}))
    given = Pretrained(path=tmp_path).eval()({"ids": padded(TEXTS, first=1)})
    states = theirs(input_ids=torch.tensor([TEXTS[0]])).last_hidden_state[0]
    torch.testing.assert_close(given.states[0], states, rtol=0, atol=1e-5)


def test_nothing_is_printed_and_no_network_is_asked(tmp_path, capfd, monkeypatch):
    tiny(tmp_path)
    capfd.readouterr()

    def refused(*_):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)
    Pretrained(path=tmp_path, layers=2)
    assert capfd.readouterr() == ("", "")
    assert transformers.utils.logging.is_progress_bar_enabled()


def test_random_weights_have_the_learning_rate_of_the_optimizer(tmp_path):
    tiny(tmp_path)
    made = Pretrained(path=tmp_path)
    assert made.own_learning_rate == 2e-5
    assert Pretrained(path=tmp_path, learning_rate=1e-4).own_learning_rate == 1e-4
    assert Pretrained(architecture=made.architecture).own_learning_rate is None


# What cannot be used ---------------------------------------------------------------------------


def test_a_name_of_the_hub_is_no_folder():
    with pytest.raises(InputError, match=r"'bert-base-uncased'.*not downloaded"):
        Pretrained(path="bert-base-uncased")


def test_path_or_architecture_is_needed_and_not_both(tmp_path):
    with pytest.raises(InputError, match="found neither"):
        Pretrained()
    with pytest.raises(InputError, match="found both"):
        Pretrained(path=tmp_path, architecture={"model_type": "bert"})


def test_folders_without_their_files_are_named(tmp_path):
    with pytest.raises(InputError, match=r"no config\.json"):
        Pretrained(path=tmp_path)
    tiny(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(InputError, match="no weights"):
        Pretrained(path=tmp_path)


def test_weights_of_another_model_are_refused(tmp_path):
    tiny(tmp_path)
    tiny(tmp_path / "other", "gpt2")
    shutil.copy(tmp_path / "other" / "model.safetensors", tmp_path / "model.safetensors")
    with pytest.raises(InputError, match="of another model"):
        Pretrained(path=tmp_path)


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "tokenizer.json"])
def test_broken_files_are_named(file, tmp_path):
    tiny(tmp_path)
    (tmp_path / file).write_text("{broken")
    with pytest.raises(InputError, match=r"cannot be (used|read)"):
        Pretrained(path=tmp_path)


def test_code_in_the_folder_is_not_run(tmp_path):
    tiny(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.OwnConfig"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "own.py").write_text("raise SystemExit('run')")
    with pytest.raises(InputError, match="cannot be used"):
        Pretrained(path=tmp_path)


def test_models_of_something_else_and_unknown_ones_are_refused():
    images = {"model_type": "vit", "hidden_size": 8, "num_hidden_layers": 1}
    with pytest.raises(InputError, match="expected a model of texts"):
        Pretrained(architecture={**images, "num_attention_heads": 2})
    with pytest.raises(InputError, match="cannot be made"):
        Pretrained(architecture={**images, "num_attention_heads": 12})
    with pytest.raises(InputError, match="model_type 'brt'"):
        Pretrained(architecture={"model_type": "brt"})


def test_a_tokenizer_or_text_that_is_too_large_is_refused(tmp_path):
    tiny(tmp_path)
    with pytest.raises(InputError, match="tokenizer has 61 tokens"):
        Pretrained(61, path=tmp_path)
    with pytest.raises(InputError, match="layers: found 4, but the model has 3"):
        Pretrained(path=tmp_path, layers=4)
    encoder = Pretrained(path=tmp_path)
    assert encoder.max_length == 42
    with pytest.raises(InputError, match="positions for 42"):
        encoder({"ids": torch.ones(1, 43).long()})
    with pytest.raises(InputError, match="tokens up to 60"):
        encoder({"ids": torch.tensor([[60]])})


def test_without_transformers_the_message_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(InputError, match=r'pip install "motet\[text\]"'):
        Pretrained(path=tmp_path)


@pytest.mark.parametrize("kind", CONFIGS)
def test_products_in_half_precision_on_a_cpu_have_few_lengths(kind, tmp_path):
    tiny(tmp_path, kind)
    encoder = Pretrained(path=tmp_path).eval()
    most = encoder.max_length or 100
    seen = set()
    for module in encoder.modules():
        if isinstance(module, nn.LayerNorm):
            module.register_forward_pre_hook(lambda _, given: seen.add(given[0].shape[1]))
    first = 1 if kind in MOVED else 0
    for length in (1, 2, 3, 4, 15, 16, 17, 31, 32, 33, 40):
        if length > most:
            break
        text = padded([[5] * length, [6, 7]], first)
        with torch.autocast("cpu", torch.bfloat16):
            found = encoder(text)
        assert found.states.shape[:2] == text.shape
        if length < 4:
            expected = encoder(text)
            for row, real in enumerate((length, 2)):
                states = (each.states[row, :real].float() for each in (found, expected))
                torch.testing.assert_close(*states, rtol=0.1, atol=0.1)
    assert seen <= {1, 2, 3, 16, 32, 48, most}


def test_pickled_weights_are_refused(tmp_path):
    tiny(tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match="pickle, which can hold code: save the model again"):
        Pretrained(path=tmp_path)
