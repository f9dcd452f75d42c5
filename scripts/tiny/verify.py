"""Reads a published model of models/ and measures its validation loss, and of attention-only models what the heads do on
repeated random tokens, with nothing but NumPy: a check of the published files that shares no code with hooklens.

GPT-2 directories are read as transformers would (names, [in, out] matrices, tied head), directories with tl_config.json
under the reference's names.

usage: verify.py CORPUS_JSON MODEL_DIR
Needs numpy, safetensors and tokenizers.
"""

import json
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer


def layer_norm(x, weight, bias, eps):
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + eps) * weight + bias


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def gelu_new(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def causal(scores):
    pos = scores.shape[-1]
    return softmax(scores + np.triu(np.full((pos, pos), -np.inf, dtype=np.float32), 1))


def gpt2(ids, w, config):
    """ids [batch, pos] to logits [batch, pos, vocabulary]."""
    heads, eps = config["n_head"], config["layer_norm_epsilon"]
    batch, pos = ids.shape
    x = w["transformer.wte.weight"][ids] + w["transformer.wpe.weight"][:pos]
    for layer in range(config["n_layer"]):
        at = lambda name: w[f"transformer.h.{layer}.{name}"]
        h = layer_norm(x, at("ln_1.weight"), at("ln_1.bias"), eps)
        qkv = h @ at("attn.c_attn.weight") + at("attn.c_attn.bias")
        q, k, v = (
            part.reshape(batch, pos, heads, -1).transpose(0, 2, 1, 3) for part in np.split(qkv, 3, axis=-1)
        )
        pattern = causal(q @ k.transpose(0, 1, 3, 2) / np.sqrt(q.shape[-1]))
        z = (pattern @ v).transpose(0, 2, 1, 3).reshape(batch, pos, -1)
        x = x + z @ at("attn.c_proj.weight") + at("attn.c_proj.bias")
        h = layer_norm(x, at("ln_2.weight"), at("ln_2.bias"), eps)
        h = gelu_new(h @ at("mlp.c_fc.weight") + at("mlp.c_fc.bias"))
        x = x + h @ at("mlp.c_proj.weight") + at("mlp.c_proj.bias")
    x = layer_norm(x, w["transformer.ln_f.weight"], w["transformer.ln_f.bias"], eps)
    return x @ w["transformer.wte.weight"].T


def attention_only(ids, w, config):
    """ids [batch, pos] to logits [batch, pos, vocabulary] and patterns [layer, batch, head, query, key]."""
    x = w["embed.W_E"][ids]
    positions = w["pos_embed.W_pos"][: ids.shape[1]]
    patterns = []
    for layer in range(config["n_layers"]):
        at = lambda name: w[f"blocks.{layer}.{name}"]
        values = layer_norm(x, at("ln1.w"), at("ln1.b"), config["eps"])
        # A shortformer (Press et al. 2020): queries and keys know their position, values do not.
        placed = values + positions
        q, k, v = (
            np.einsum("bpd,hde->bhpe", source, at(f"attn.W_{name}")) + at(f"attn.b_{name}")[:, None]
            for name, source in (("Q", placed), ("K", placed), ("V", values))
        )
        pattern = causal(q @ k.transpose(0, 1, 3, 2) / np.sqrt(q.shape[-1]))
        patterns.append(pattern)
        x = x + np.einsum("bhpe,hed->bpd", pattern @ v, at("attn.W_O")) + at("attn.b_O")
    x = layer_norm(x, w["ln_final.w"], w["ln_final.b"], config["eps"])
    return x @ w["unembed.W_U"] + w["unembed.b_U"], np.stack(patterns)


def token_losses(logits, ids):
    """Cross-entropy of each next token, [batch, pos - 1]."""
    p = softmax(logits[:, :-1])
    return -np.log(np.take_along_axis(p, ids[:, 1:, None], -1))[..., 0]


def report_heads(run, vocabulary, start, batch=32, length=50):
    block = np.random.default_rng(0).integers(start + 1, vocabulary, (batch, length))
    ids = np.concatenate([np.full((batch, 1), start), block, block], axis=1)
    logits, patterns = run(ids)
    losses = token_losses(logits, ids)
    print(f"{length} random tokens, then the same again: {losses[:, :length].mean():.3f}, then {losses[:, length:].mean():.3f}")
    second = np.arange(length + 1, 2 * length + 1)
    later = np.arange(1, 2 * length + 1)
    for layer, pattern in enumerate(patterns):
        induction = pattern[:, :, second, second - length + 1].mean(axis=(0, 2))
        previous = pattern[:, :, later, later - 1].mean(axis=(0, 2))
        for head, (a, b) in enumerate(zip(previous, induction)):
            print(f"head {layer}.{head}: previous token {a:.3f}, induction {b:.3f}")


def main(corpus_path, model_dir):
    folder = Path(model_dir)
    native = folder / "tl_config.json"
    with open(native if native.exists() else folder / "config.json", encoding="utf-8") as file:
        config = json.load(file)
    stored = load_file(folder / "model.safetensors")
    w = {name: tensor.astype(np.float32) for name, tensor in stored.items()}
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    start = tokenizer.token_to_id("<|endoftext|>")
    with open(corpus_path, encoding="utf-8") as file:
        chapters = json.load(file)["validation"]
    stream = []
    for verses in chapters:
        stream += [start, *tokenizer.encode("\n".join(verses) + "\n").ids]

    run = (lambda ids: attention_only(ids, w, config)) if native.exists() else (lambda ids: (gpt2(ids, w, config), None))
    text = config["n_ctx" if native.exists() else "n_positions"] - 1
    rows = len(stream) // text
    ids = np.array(stream[: rows * text]).reshape(rows, text)
    ids = np.concatenate([np.full((rows, 1), start), ids], axis=1)
    total = sum(
        token_losses(run(block)[0], block).mean(axis=1).sum() for block in (ids[at : at + 16] for at in range(0, rows, 16))
    )
    print(f"{sum(t.size for t in w.values())} parameters, dtype {next(iter(stored.values())).dtype}")
    print(f"validation loss {total / rows:.4f} nats a token over {rows} windows")
    if native.exists():
        report_heads(run, config["d_vocab"], start)


if __name__ == "__main__":
    main(*sys.argv[1:])
