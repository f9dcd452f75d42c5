"""Reads models/tiny as transformers would (names, [in, out] matrices, tied head) and measures its validation loss with
nothing but NumPy: a check of the published files that shares no code with hooklens.

usage: verify.py CORPUS_JSON MODEL_DIR
Needs numpy, safetensors and tokenizers.
"""

import json
import sys

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


def forward(ids, w, config):
    """ids [batch, pos] to logits [batch, pos, vocabulary]."""
    heads, eps = config["n_head"], config["layer_norm_epsilon"]
    batch, pos = ids.shape
    x = w["transformer.wte.weight"][ids] + w["transformer.wpe.weight"][:pos]
    future = np.triu(np.full((pos, pos), -np.inf, dtype=np.float32), 1)
    for layer in range(config["n_layer"]):
        at = lambda name: w[f"transformer.h.{layer}.{name}"]
        h = layer_norm(x, at("ln_1.weight"), at("ln_1.bias"), eps)
        qkv = h @ at("attn.c_attn.weight") + at("attn.c_attn.bias")
        q, k, v = (
            part.reshape(batch, pos, heads, -1).transpose(0, 2, 1, 3) for part in np.split(qkv, 3, axis=-1)
        )
        pattern = softmax(q @ k.transpose(0, 1, 3, 2) / np.sqrt(q.shape[-1]) + future)
        z = (pattern @ v).transpose(0, 2, 1, 3).reshape(batch, pos, -1)
        x = x + z @ at("attn.c_proj.weight") + at("attn.c_proj.bias")
        h = layer_norm(x, at("ln_2.weight"), at("ln_2.bias"), eps)
        h = gelu_new(h @ at("mlp.c_fc.weight") + at("mlp.c_fc.bias"))
        x = x + h @ at("mlp.c_proj.weight") + at("mlp.c_proj.bias")
    x = layer_norm(x, w["transformer.ln_f.weight"], w["transformer.ln_f.bias"], eps)
    return x @ w["transformer.wte.weight"].T


def main(corpus_path, model_dir):
    with open(f"{model_dir}/config.json", encoding="utf-8") as file:
        config = json.load(file)
    stored = load_file(f"{model_dir}/model.safetensors")
    w = {name: tensor.astype(np.float32) for name, tensor in stored.items()}
    tokenizer = Tokenizer.from_file(f"{model_dir}/tokenizer.json")
    start = config["bos_token_id"]
    with open(corpus_path, encoding="utf-8") as file:
        chapters = json.load(file)["validation"]
    stream = []
    for verses in chapters:
        stream += [start, *tokenizer.encode("\n".join(verses) + "\n").ids]

    text = config["n_positions"] - 1
    rows = len(stream) // text
    ids = np.array(stream[: rows * text]).reshape(rows, text)
    ids = np.concatenate([np.full((rows, 1), start), ids], axis=1)
    total = 0.0
    for first in range(0, rows, 16):
        block = ids[first : first + 16]
        p = softmax(forward(block, w, config)[:, :-1])
        total -= np.log(np.take_along_axis(p, block[:, 1:, None], -1)).mean(axis=(1, 2)).sum()
    print(f"{sum(t.size for t in w.values())} parameters, dtype {next(iter(stored.values())).dtype}")
    print(f"validation loss {total / rows:.4f} nats a token over {rows} windows")


if __name__ == "__main__":
    main(*sys.argv[1:])
