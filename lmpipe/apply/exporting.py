"""Write a run as a Hugging Face folder that stock transformers loads, with trust_remote_code=False.

Each of our switches has its place in some stock architecture, not each combination:

| positions | norm  | perceptron   | q, k normalised | logits capped | becomes   |
|-----------|-------|--------------|-----------------|---------------|-----------|
| learned   | layer | gelu, relu2  | no              | no            | GPT-2     |
| rotary    | layer | gelu, relu2  | no              | no            | GPT-NeoX  |
| rotary    | rms   | swiglu       | no              | no            | Llama     |
| rotary    | rms   | gelu, relu2  | no              | no            | Arcee     |
| rotary    | rms   | swiglu       | yes, no biases  | no            | Qwen3     |
| rotary    | rms   | gelu, relu2  | yes, no biases  | or not        | NanoChat  |

Normalised embeddings are NanoChat's own; elsewhere the table is normalised before it is written, which is the same
since nothing is added to it. The rest is refused with its reason.

Shape letters: V vocabulary, W width, H heads, D head width.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from lmpipe.apply.decoder import blocks_of
from lmpipe.errors import InputError
from lmpipe.evaluate.scorer import Scorer, open_scorer
from lmpipe.settings import LstmSettings, Model, TransformerSettings
from lmpipe.storage import storage_errors
from lmpipe.tokens.tokenizer import read_tokenizer, token_ids
from lmpipe.train.model import Transformer
from lmpipe.train.model.transformer import BASE, Block

RMS_EPS = torch.finfo(torch.float32).eps
"""What F.rms_norm adds to the mean square."""

ACTIVATIONS = {"gelu": "gelu_new", "relu2": "relu2", "swiglu": "silu"}
"""Ours, in transformers' words."""

Named = Iterator[tuple[str, Tensor]]


def export_run(run: Path, folder: Path) -> str:
    """Write the newest checkpoint of a run as a Hugging Face folder, and return its architecture's name.

    Raises InputError where no stock architecture computes what the model does, or `folder` is there already.
    """
    scorer = open_scorer(run)
    family = architecture(scorer.run.settings.model, run)
    model = scorer.model
    assert isinstance(model, Transformer), "architecture refuses others"
    if folder.exists():
        raise InputError(f"{folder}: is there already. Move it away, or name another place.")
    temporary = folder.with_name(f".{folder.name}.tmp")
    with storage_errors(folder), torch.no_grad():
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in WRITERS[family](model)}
        save_file(tensors, temporary / "model.safetensors", metadata={"format": "pt"})
        write_tokenizer(scorer, temporary)
        config = CONFIGS[family](model) | shared_config(scorer, family)
        config |= {"tie_word_embeddings": "lm_head.weight" not in tensors}
        (temporary / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
        temporary.rename(folder)
    return CLASSES[family]


def architecture(settings: Model, where: Path) -> str:
    """Find the stock architecture that a model is; raises InputError with the reason where none is."""
    reason = why_not(settings)
    if reason is not None:
        raise InputError(f"{where}: cannot be exported: no stock architecture of transformers has {reason}.")
    assert isinstance(settings, TransformerSettings), "why_not refuses others"
    if settings.norm == "layer":
        return "gpt2" if settings.positions is not None else "gpt_neox"
    gated = settings.mlp == "swiglu"
    if settings.qk_norm:
        return "qwen3" if gated else "nanochat"
    return "llama" if gated else "arcee"


def why_not(settings: Model) -> str | None:
    """Name the combination of switches that has no place in the table above, or None."""
    if not isinstance(settings, TransformerSettings):
        return "an LSTM" if isinstance(settings, LstmSettings) else "an n-gram model"
    gated, learned, layer = settings.mlp == "swiglu", settings.positions is not None, settings.norm == "layer"
    nanochat = settings.qk_norm and not gated and not layer
    found = {
        "value embeddings": settings.value_embeddings,
        "learned positions with RMSNorm": learned and not layer,
        "LayerNorm with normalised queries and keys": layer and settings.qk_norm,
        "LayerNorm with SwiGLU": layer and gated,
        "learned positions with a normalised embedding": learned and settings.embedding_norm,
        f"a logit cap with mlp {settings.mlp}, norm {settings.norm}, qk_norm {settings.qk_norm}": settings.logit_cap
        is not None
        and not nanochat,
        "normalised queries and keys with biases": settings.qk_norm and settings.bias,
        f"qk_norm and mlp {settings.mlp} without embedding_norm": nanochat and not settings.embedding_norm,
    }
    return next((reason for reason, is_so in found.items() if is_so), None)


def write_tokenizer(scorer: Scorer, folder: Path) -> None:
    """Copy the tokenizer, and name its closing token."""
    shutil.copyfile(scorer.tokenizer, folder / "tokenizer.json")
    names = {number: name for name, number in token_ids(read_tokenizer(scorer.tokenizer)).items()}
    end = names[scorer.run.end_of_text]
    body: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": end, "bos_token": end}
    body |= {"model_max_length": scorer.run.settings.context, "clean_up_tokenization_spaces": False}
    (folder / "tokenizer_config.json").write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")


def shared_config(scorer: Scorer, family: str) -> dict[str, Any]:
    """Write what every config.json has."""
    end = scorer.run.end_of_text
    body = {"architectures": [CLASSES[family]], "model_type": family, "vocab_size": scorer.run.vocabulary}
    if family != "gpt2":
        body |= {"max_position_embeddings": scorer.run.settings.context}
    return body | {"bos_token_id": end, "eos_token_id": end, "pad_token_id": None, "dtype": "float32"}


def gpt2_config(model: Transformer) -> dict[str, Any]:
    """Write GPT2Config's part."""
    settings = model.settings
    body: dict[str, Any] = {"n_layer": settings.layers, "n_embd": settings.width, "n_head": settings.heads}
    body |= {"n_positions": settings.positions, "activation_function": ACTIVATIONS[settings.mlp]}
    return body | {"resid_pdrop": settings.dropout, "embd_pdrop": settings.dropout, "attn_pdrop": 0.0}


def rotary_config(model: Transformer) -> dict[str, Any]:
    """Write what the configs of rotary architectures share; both spellings of the base, of transformers 4 and 5."""
    settings = model.settings
    body: dict[str, Any] = {"num_hidden_layers": settings.layers, "hidden_size": settings.width}
    body |= {"num_attention_heads": settings.heads, "num_key_value_heads": settings.heads}
    body |= {"head_dim": settings.width // settings.heads}
    body |= {"intermediate_size": blocks_of(model)[0].mlp.mlp_out.in_features, "rms_norm_eps": RMS_EPS}
    body |= {"hidden_act": ACTIVATIONS[settings.mlp], "attention_bias": settings.bias, "mlp_bias": settings.bias}
    return body | {"rope_theta": BASE, "rope_parameters": {"rope_type": "default", "rope_theta": BASE}}


def neox_config(model: Transformer) -> dict[str, Any]:
    """Write GPTNeoXConfig's part."""
    body = rotary_config(model) | {"use_parallel_residual": False, "layer_norm_eps": 1e-5, "attention_bias": True}
    body |= {"rotary_pct": 1.0, "rotary_emb_base": BASE}
    return body | {"rope_parameters": {"rope_type": "default", "rope_theta": BASE, "partial_rotary_factor": 1.0}}


def nanochat_config(model: Transformer) -> dict[str, Any]:
    """Write NanoChatConfig's part."""
    return rotary_config(model) | {"final_logit_softcapping": model.settings.logit_cap}


def with_bias(name: str, linear: nn.Linear) -> Named:
    """Name a linear map's tensors; a bias that we lack is zero where the architecture has one."""
    yield f"{name}.weight", linear.weight
    yield f"{name}.bias", linear.bias if linear.bias is not None else torch.zeros(linear.out_features)


def bias_if_any(name: str, linear: nn.Linear) -> Named:
    """Name a linear map's tensors, a bias only where we have one."""
    yield f"{name}.weight", linear.weight
    if linear.bias is not None:
        yield f"{name}.bias", linear.bias


def gpt2_tensors(model: Transformer) -> Named:
    """Lay weights out as GPT2LMHeadModel has them: its matrices are (inputs, outputs)."""
    assert model.positions is not None, "GPT-2 has learned positions"
    yield "transformer.wte.weight", model.embedding.weight
    yield "transformer.wpe.weight", model.positions.weight
    for number, block in enumerate(blocks_of(model)):
        at = f"transformer.h.{number}"
        yield from named(f"{at}.ln_1", block.attention_norm)
        yield from named(f"{at}.ln_2", block.mlp_norm)
        maps = {"attn.c_attn": block.attention.attention_in, "attn.c_proj": block.attention.attention_out}
        maps |= {"mlp.c_fc": block.mlp.mlp_in, "mlp.c_proj": block.mlp.mlp_out}
        for name, linear in maps.items():
            yield from ((key, t.t() if t.ndim == 2 else t) for key, t in with_bias(f"{at}.{name}", linear))
    yield from named("transformer.ln_f", model.output_norm)
    if not model.settings.tied:
        yield "lm_head.weight", model.head_VW


def neox_tensors(model: Transformer) -> Named:
    """Lay weights out as GPTNeoXForCausalLM has them: q, k and v of a head stand together."""
    yield from embedded(model, "gpt_neox.embed_in.weight")
    for number, block in enumerate(blocks_of(model)):
        at = f"gpt_neox.layers.{number}"
        yield from named(f"{at}.input_layernorm", block.attention_norm)
        yield from named(f"{at}.post_attention_layernorm", block.mlp_norm)
        for key, tensor in with_bias(f"{at}.attention.query_key_value", block.attention.attention_in):
            heads = tensor.view(3, model.settings.heads, -1, *tensor.shape[1:]).transpose(0, 1)
            yield key, heads.reshape(tensor.shape)
        yield from with_bias(f"{at}.attention.dense", block.attention.attention_out)
        yield from with_bias(f"{at}.mlp.dense_h_to_4h", block.mlp.mlp_in)
        yield from with_bias(f"{at}.mlp.dense_4h_to_h", block.mlp.mlp_out)
    yield from named("gpt_neox.final_layer_norm", model.output_norm)


def llama_tensors(model: Transformer) -> Named:
    """Lay weights out as LlamaForCausalLM, ArceeForCausalLM and Qwen3ForCausalLM have them; their gains are one."""
    settings = model.settings
    ones_W, ones_D = torch.ones(settings.width), torch.ones(settings.width // settings.heads)
    yield from embedded(model, "model.embed_tokens.weight")
    for number, block in enumerate(blocks_of(model)):
        at = f"model.layers.{number}"
        yield f"{at}.input_layernorm.weight", ones_W
        yield f"{at}.post_attention_layernorm.weight", ones_W
        yield from projections(f"{at}.self_attn", block)
        if settings.qk_norm:
            yield f"{at}.self_attn.q_norm.weight", ones_D
            yield f"{at}.self_attn.k_norm.weight", ones_D
        for key, tensor in bias_if_any(f"{at}.mlp.up_proj", block.mlp.mlp_in):
            if settings.mlp == "swiglu":
                gate, tensor = tensor.chunk(2)
                yield key.replace("up_proj", "gate_proj"), gate
            yield key, tensor
        yield from bias_if_any(f"{at}.mlp.down_proj", block.mlp.mlp_out)
    yield "model.norm.weight", ones_W


def nanochat_tensors(model: Transformer) -> Named:
    """Lay weights out as NanoChatForCausalLM has them: it turns the other way, so halves of q and k change places."""
    yield "model.embed_tokens.weight", model.embedding.weight
    for number, block in enumerate(blocks_of(model)):
        at = f"model.layers.{number}"
        for key, tensor in projections(f"{at}.self_attn", block):
            turned = tensor.view(model.settings.heads, 2, -1, tensor.shape[1]).flip(1).reshape(tensor.shape)
            yield key, turned if "q_proj" in key or "k_proj" in key else tensor
        yield f"{at}.mlp.fc1.weight", block.mlp.mlp_in.weight
        yield f"{at}.mlp.fc2.weight", block.mlp.mlp_out.weight
    if not model.settings.tied:
        yield "lm_head.weight", model.head_VW


def projections(at: str, block: Block) -> Named:
    """Cut the one map into attention into three, and name the one out of it."""
    for key, tensor in bias_if_any(f"{at}.q_proj", block.attention.attention_in):
        for letter, part in zip("qkv", tensor.chunk(3), strict=True):
            yield key.replace("q_proj", f"{letter}_proj"), part
    yield from bias_if_any(f"{at}.o_proj", block.attention.attention_out)


def embedded(model: Transformer, name: str) -> Named:
    """Name the embedding, normalised where the model does so, and the head where it is another matrix."""
    yield name, model.input_norm(model.embedding.weight)
    if not model.settings.tied or model.settings.embedding_norm:
        yield "lm_head.weight", model.head_VW


def named(name: str, norm: nn.Module) -> Named:
    """Name a LayerNorm's tensors."""
    yield from ((f"{name}.{part}", tensor) for part, tensor in norm.named_parameters())


CLASSES = {
    "gpt2": "GPT2LMHeadModel",
    "gpt_neox": "GPTNeoXForCausalLM",
    "llama": "LlamaForCausalLM",
    "arcee": "ArceeForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
    "nanochat": "NanoChatForCausalLM",
}
CONFIGS: dict[str, Callable[[Transformer], dict[str, Any]]] = {
    "gpt2": gpt2_config,
    "gpt_neox": neox_config,
    "llama": rotary_config,
    "arcee": rotary_config,
    "qwen3": rotary_config,
    "nanochat": nanochat_config,
}
WRITERS: dict[str, Callable[[Transformer], Named]] = {
    "gpt2": gpt2_tensors,
    "gpt_neox": neox_tensors,
    "llama": llama_tensors,
    "arcee": llama_tensors,
    "qwen3": llama_tensors,
    "nanochat": nanochat_tensors,
}
"""By transformers' model_type."""
