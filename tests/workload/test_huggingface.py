"""Configs of published models give the built-in models; what cannot be counted is refused in one sentence."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sublet.errors import InputError
from sublet.workload.builtin import model as builtin_model
from sublet.workload.huggingface import load_config, model_from_config, read_config
from sublet.workload.parameters import count

CONFIGS = json.loads(Path(__file__).with_name("hf_configs.json").read_text())
LLAMA = CONFIGS["llama-2-70b"]


@pytest.mark.parametrize("name", CONFIGS)
def test_a_published_config_gives_the_built_in_model(name):
    read, known = model_from_config(CONFIGS[name], name), builtin_model(name)
    assert count(read).total == count(known).total
    assert count(read).active == count(known).active
    # what no parameter depends on: contexts differ by how far a publisher trusts the length, Phi-3's window by one
    same: dict[str, Any] = {"source": "", "context": 0, "window": 0}
    if known.experts is not None and known.experts.layers == known.layers:
        same["ffn_hidden"] = 0  # of no layer
    assert replace(read, **same) == replace(known, **same)
    assert abs(read.window - known.window) <= 1


def test_mpt_7b_as_released_has_alibi_and_no_biases():
    config = {
        "model_type": "mpt",
        "d_model": 4096,
        "n_heads": 32,
        "n_layers": 32,
        "expansion_ratio": 4,
        "max_seq_len": 2048,
        "vocab_size": 50432,
        "no_bias": True,
        "learned_pos_emb": True,
        "attn_config": {"alibi": True, "attn_impl": "torch"},
    }
    assert count(model_from_config(config, "mpt-7b")).total == 6_649_286_656  # total of mosaicml/mpt-7b


def test_llama_4_has_experts_in_every_other_layer_and_a_shared_one():
    config = {
        "model_type": "llama4",
        "text_config": {
            "model_type": "llama4_text",
            "hidden_size": 5120,
            "intermediate_size": 8192,
            "intermediate_size_mlp": 16384,
            "interleave_moe_layer_step": 2,
            "num_attention_heads": 40,
            "num_key_value_heads": 8,
            "num_hidden_layers": 48,
            "num_local_experts": 128,
            "num_experts_per_tok": 1,
            "vocab_size": 202048,
            "hidden_act": "silu",
        },
    }
    model, assumptions = read_config(config, "maverick")
    assert model.experts is not None
    assert (model.experts.layers, model.experts.shared, model.ffn_hidden) == (24, 1, 16384)
    assert count(model).total == pytest.approx(400e9, rel=0.01)
    assert count(model).active == pytest.approx(17e9, rel=0.02)
    assert "language part" in assumptions[0]


def test_an_unknown_architecture_is_read_as_a_llama_and_says_so():
    model, assumptions = read_config({**LLAMA, "model_type": "brand_new"}, "new")
    assert count(model) == count(builtin_model("llama-2-70b"))
    assert len(assumptions) == 1
    assert "'brand_new' is not known" in assumptions[0]
    ungated, _ = read_config({**LLAMA, "model_type": "brand_new", "hidden_act": "gelu"}, "new")
    assert not ungated.gated


def test_layers_for_further_tokens_are_left_out_and_named():
    _, assumptions = read_config(CONFIGS["deepseek-v3"], "deepseek-v3")
    assert any("further tokens" in sentence for sentence in assumptions)


def test_dense_layers_among_the_experts_are_found():
    config = {**CONFIGS["qwen-3-30b-a3b"], "mlp_only_layers": [0, 1], "decoder_sparse_step": 2}
    model = model_from_config(config, "mixed")
    assert model.experts is not None
    assert model.experts.layers == 23  # every second of 48 layers, less layer 1


@pytest.mark.parametrize(
    ("name", "change", "windowed"),
    [
        ("qwen-2-7b", {"use_sliding_window": True, "max_window_layers": 20}, 8),
        ("qwen-2-7b", {"use_sliding_window": False}, 0),
        ("gemma-2-9b", {"sliding_window": None}, 0),
        ("llama-2-70b", {"sliding_window": 4096}, 0),  # Llama's code does not read it
        ("llama-2-70b", {"sliding_window": 4096, "layer_types": ["full_attention", "sliding_attention"] * 40}, 40),
    ],
)
def test_windows_are_where_the_architecture_puts_them(name, change, windowed):
    assert model_from_config({**CONFIGS[name], **change}, name).windowed_layers == windowed


def test_command_r_plus_normalises_queries_and_keys():
    assert model_from_config({**CONFIGS["command-r-35b"], "use_qk_norm": True}, "plus").qk_norm == "head"


@pytest.mark.parametrize("key", ["num_hidden_layers", "hidden_size", "num_attention_heads", "vocab_size"])
def test_a_missing_key_is_named(key):
    config = {k: v for k, v in LLAMA.items() if k != key}
    with pytest.raises(InputError, match=f"has no '{key}'"):
        model_from_config(config, "x")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model_type": "mamba2"}, "state-space model"),
        ({"model_type": "t5"}, "encoder-decoder"),
        ({"is_encoder_decoder": True}, "encoder-decoder"),
        ({"hidden_size": "wide"}, "hidden_size is 'wide'"),
        ({"hidden_size": 81.5}, "hidden_size is 81.5"),
        ({"num_hidden_layers": True}, "num_hidden_layers is True"),
        ({"vocab_size": -1}, "vocab_size is -1"),
        ({"vocab_size": float("inf")}, "vocab_size is inf"),
        ({"hidden_size": 8200}, "no multiple of num_attention_heads"),
        ({"num_key_value_heads": 7}, "does not divide"),
        ({"num_local_experts": 8, "num_experts_per_tok": 9}, "more than the 8 experts"),
        ({"num_local_experts": 8}, "has no 'num_experts_per_tok'"),
        ({"intermediate_size": None, "expansion_ratio": "four"}, "expansion_ratio is 'four'"),
        ({"kv_lora_rank": 512}, "has no 'qk_nope_head_dim'"),
    ],
)
def test_a_config_that_cannot_be_is_refused_in_one_sentence(change, words):
    with pytest.raises(InputError) as refusal:
        model_from_config({**LLAMA, **change}, "x")
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_file_is_named_by_its_folder_and_errors_name_the_file(tmp_path):
    place = tmp_path / "our-13b" / "config.json"
    place.parent.mkdir()
    place.write_text(json.dumps(LLAMA))
    assert load_config(place)[0].name == "our-13b"
    assert load_config(place, "ours")[0].name == "ours"
    place.write_text(json.dumps({"model_type": "llama"}))
    with pytest.raises(InputError, match=r"config\.json: the config has no 'num_hidden_layers'"):
        load_config(place)
    place.write_text('{"model_type": "llama",\n oops}')
    with pytest.raises(InputError, match=r"config\.json:2: this is not JSON"):
        load_config(place)
    place.write_text("[1]")
    with pytest.raises(InputError, match="expected a JSON object"):
        load_config(place)
    place.write_text("[" * 100_000)
    with pytest.raises(InputError, match="not JSON"):
        load_config(place)
