"""Writes a GPT-2 with random weights of the sizes given as JSON, three times with the same numbers.

- `config.json` and `model.safetensors`, as Hugging Face lays them out;
- `onnx/model.onnx`, as onnxruntime's own optimiser for transformers leaves a model: queries, keys and values are one
  product inside `Attention`, sums with a norm are `SkipLayerNormalization`, activations with their bias `FastGelu`. The
  unembedding is the embedding, read as it lies;
- `onnx/exported.onnx`, as exporters of PyTorch write it, of standard operators, which onnxruntime fuses as far as it can
  when it loads it;

and `onnx/matmul.onnx`, one product with a weight.
"""

import json
import pathlib
import struct
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

sizes = json.loads(sys.argv[1])
folder = pathlib.Path(sys.argv[2])
LAYERS, WIDTH, HEADS = sizes["n_layers"], sizes["d_model"], sizes["n_heads"]
INNER, CONTEXT, VOCABULARY = sizes["d_mlp"], sizes["n_ctx"], sizes["d_vocab"]
EPS = 1e-5
random = np.random.default_rng(0)


def normal(*shape, scale=0.02, mean=0.0):
    return (random.standard_normal(shape, dtype=np.float32) * np.float32(scale) + np.float32(mean)).astype(np.float32)


def make_weights():
    weights = {"wte.weight": normal(VOCABULARY, WIDTH), "wpe.weight": normal(CONTEXT, WIDTH)}
    for layer in range(LAYERS):
        for name, inputs, outputs in [
            ("attn.c_attn", WIDTH, 3 * WIDTH),
            ("attn.c_proj", WIDTH, WIDTH),
            ("mlp.c_fc", WIDTH, INNER),
            ("mlp.c_proj", INNER, WIDTH),
        ]:
            weights[f"h.{layer}.{name}.weight"] = normal(inputs, outputs)
            weights[f"h.{layer}.{name}.bias"] = normal(outputs)
        for name in ("ln_1", "ln_2"):
            weights[f"h.{layer}.{name}.weight"] = normal(WIDTH, scale=0.1, mean=1.0)
            weights[f"h.{layer}.{name}.bias"] = normal(WIDTH)
    weights["ln_f.weight"] = normal(WIDTH, scale=0.1, mean=1.0)
    weights["ln_f.bias"] = normal(WIDTH)
    return weights


def write_checkpoint(weights):
    header, at = {}, 0
    for name, values in weights.items():
        header[f"transformer.{name}"] = {
            "dtype": "F32",
            "shape": list(values.shape),
            "data_offsets": [at, at + values.nbytes],
        }
        at += values.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(folder / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)))
        file.write(text)
        for values in weights.values():
            file.write(values.tobytes())
    config = {
        "model_type": "gpt2",
        "architectures": ["GPT2LMHeadModel"],
        "n_layer": LAYERS,
        "n_embd": WIDTH,
        "n_head": HEADS,
        "n_inner": INNER,
        "n_ctx": CONTEXT,
        "n_positions": CONTEXT,
        "vocab_size": VOCABULARY,
        "activation_function": "gelu_new",
        "layer_norm_epsilon": EPS,
        "tie_word_embeddings": True,
        "bos_token_id": 0,
        "eos_token_id": 0,
    }
    (folder / "config.json").write_text(json.dumps(config))


class Graph:
    """Nodes in order, each named after its output."""

    def __init__(self):
        self.nodes = []
        self.values = {}

    def constant(self, name, values):
        self.values[name] = np.asarray(values)
        return name

    def node(self, kind, inputs, output, domain="", outputs=None, **attributes):
        self.nodes.append(
            helper.make_node(kind, inputs, outputs or [output], name=output, domain=domain, **attributes)
        )
        return output

    def write(self, path, inputs, output):
        graph = helper.make_graph(
            self.nodes,
            path.stem,
            inputs,
            [output],
            [numpy_helper.from_array(values, name) for name, values in self.values.items()],
        )
        versions = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
        onnx.save(helper.make_model(graph, opset_imports=versions, ir_version=8), path)


def embedded(graph, weights):
    """The sum of embeddings of tokens and positions."""
    for name in ("wte.weight", "wpe.weight"):
        graph.constant(name, weights[name])
    graph.constant("zero", np.int64(0))
    graph.constant("one", np.int64(1))
    graph.node("Shape", ["input_ids"], "shape")
    graph.node("Gather", ["shape", "one"], "length")
    graph.node("Range", ["zero", "length", "one"], "positions")
    graph.node("Gather", ["wte.weight", "input_ids"], "tokens_embedded")
    graph.node("Gather", ["wpe.weight", "positions"], "positions_embedded")
    return graph.node("Add", ["tokens_embedded", "positions_embedded"], "embedded")


def write_model(graph, name):
    graph.write(
        folder / "onnx" / name,
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "position"])],
        helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", "position", VOCABULARY]),
    )


def write_optimised(weights):
    graph = Graph()

    def weight(name):
        return graph.constant(name, weights[name])

    def normed(x, residual, bias, norm, output):
        """The norm of `x + residual + bias`, and that sum."""
        total = f"{output}.sum"
        graph.node(
            "SkipLayerNormalization",
            [x, residual, weight(f"{norm}.weight"), weight(f"{norm}.bias"), weight(bias)],
            output,
            domain="com.microsoft",
            outputs=[output, "", "", total],
            epsilon=EPS,
        )
        return output, total

    residual = embedded(graph, weights)
    x = graph.node(
        "LayerNormalization",
        [residual, weight("h.0.ln_1.weight"), weight("h.0.ln_1.bias")],
        "h.0.ln_1",
        epsilon=EPS,
    )
    for layer in range(LAYERS):
        at = f"h.{layer}"
        z = graph.node(
            "Attention",
            [x, weight(f"{at}.attn.c_attn.weight"), weight(f"{at}.attn.c_attn.bias")],
            f"{at}.attn",
            domain="com.microsoft",
            num_heads=HEADS,
            unidirectional=1,
        )
        out = graph.node("MatMul", [z, weight(f"{at}.attn.c_proj.weight")], f"{at}.attn.c_proj")
        x, residual = normed(out, residual, f"{at}.attn.c_proj.bias", f"{at}.ln_2", f"{at}.ln_2")
        inner = graph.node("MatMul", [x, weight(f"{at}.mlp.c_fc.weight")], f"{at}.mlp.c_fc")
        inner = graph.node("FastGelu", [inner, weight(f"{at}.mlp.c_fc.bias")], f"{at}.mlp.act", domain="com.microsoft")
        out = graph.node("MatMul", [inner, weight(f"{at}.mlp.c_proj.weight")], f"{at}.mlp.c_proj")
        norm = "ln_f" if layer == LAYERS - 1 else f"h.{layer + 1}.ln_1"
        x, residual = normed(out, residual, f"{at}.mlp.c_proj.bias", norm, norm)
    rows = graph.node("Reshape", [x, graph.constant("rows_shape", np.array([-1, WIDTH]))], "rows")
    flat = graph.node("Gemm", [rows, "wte.weight"], "flat_logits", transB=1)
    batch = graph.node("Gather", ["shape", "zero"], "batch")
    lengths = [
        graph.node("Unsqueeze", [one, graph.constant(f"{one}_axis", np.array([0]))], f"{one}_1")
        for one in (batch, "length")
    ]
    shape = graph.node("Concat", [*lengths, graph.constant("columns", np.array([VOCABULARY]))], "logits_shape", axis=0)
    graph.node("Reshape", [flat, shape], "logits")
    write_model(graph, "model.onnx")


def write_exported(weights):
    graph = Graph()
    width = WIDTH // HEADS
    number = {}

    def weight(name):
        return graph.constant(name, weights[name])

    def scalar(value):
        name = f"number {value}"
        return number.setdefault(value, graph.constant(name, np.float32(value)))

    def norm(x, name):
        return graph.node("LayerNormalization", [x, weight(f"{name}.weight"), weight(f"{name}.bias")], name, epsilon=EPS)

    def linear(x, name):
        product = graph.node("MatMul", [x, weight(f"{name}.weight")], f"{name}.product")
        return graph.node("Add", [product, weight(f"{name}.bias")], name)

    def gelu(x, name):
        cubed = graph.node("Pow", [x, scalar(3.0)], f"{name}.cubed")
        scaled = graph.node("Mul", [cubed, scalar(0.044715)], f"{name}.scaled")
        added = graph.node("Add", [x, scaled], f"{name}.added")
        argument = graph.node("Mul", [added, scalar(0.7978845608028654)], f"{name}.argument")
        tanh = graph.node("Tanh", [argument], f"{name}.tanh")
        share = graph.node("Add", [tanh, scalar(1.0)], f"{name}.share")
        half = graph.node("Mul", [x, scalar(0.5)], f"{name}.half")
        return graph.node("Mul", [half, share], name)

    residual = embedded(graph, weights)
    graph.constant("causal", np.tril(np.ones((1, 1, CONTEXT, CONTEXT), dtype=bool)))
    graph.constant("axes", np.array([2, 3]))
    graph.constant("starts", np.array([0, 0]))
    graph.constant("axis 0", np.array([0]))
    graph.node("Unsqueeze", ["length", "axis 0"], "length_1")
    graph.node("Concat", ["length_1", "length_1"], "ends", axis=0)
    graph.node("Slice", ["causal", "starts", "ends", "axes"], "mask")
    graph.constant("lowest", np.float32(np.finfo(np.float32).min))
    graph.constant("by_head", np.array([0, 0, HEADS, width]))
    graph.constant("together", np.array([0, 0, WIDTH]))
    for layer in range(LAYERS):
        at = f"h.{layer}"
        qkv = linear(norm(residual, f"{at}.ln_1"), f"{at}.attn.c_attn")
        parts = [f"{at}.attn.{name}" for name in "qkv"]
        graph.node("Split", [qkv], f"{at}.attn.split", outputs=parts, axis=2)
        heads = []
        for part, order in zip(parts, ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3])):
            split = graph.node("Reshape", [part, "by_head"], f"{part}.by_head")
            heads.append(graph.node("Transpose", [split], f"{part}.heads", perm=order))
        query, key, value = heads
        scores = graph.node("MatMul", [query, key], f"{at}.attn.products")
        scores = graph.node("Div", [scores, scalar(width**0.5)], f"{at}.attn.scores")
        scores = graph.node("Where", ["mask", scores, "lowest"], f"{at}.attn.masked")
        pattern = graph.node("Softmax", [scores], f"{at}.attn.pattern", axis=-1)
        z = graph.node("MatMul", [pattern, value], f"{at}.attn.z")
        z = graph.node("Transpose", [z], f"{at}.attn.z_by_position", perm=[0, 2, 1, 3])
        z = graph.node("Reshape", [z, "together"], f"{at}.attn.z_together")
        residual = graph.node("Add", [residual, linear(z, f"{at}.attn.c_proj")], f"{at}.resid_mid")
        inner = linear(norm(residual, f"{at}.ln_2"), f"{at}.mlp.c_fc")
        out = linear(gelu(inner, f"{at}.mlp.act"), f"{at}.mlp.c_proj")
        residual = graph.node("Add", [residual, out], f"{at}.resid_post")
    final = norm(residual, "ln_f")
    unembedding = graph.node("Transpose", ["wte.weight"], "unembedding", perm=[1, 0])
    graph.node("MatMul", [final, unembedding], "logits")
    write_model(graph, "exported.onnx")


def write_product():
    graph = Graph()
    graph.node("MatMul", ["x", graph.constant("weight", normal(WIDTH, INNER))], "y")
    graph.write(
        folder / "onnx" / "matmul.onnx",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", WIDTH])],
        helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", INNER]),
    )


(folder / "onnx").mkdir(parents=True, exist_ok=True)
made = make_weights()
write_checkpoint(made)
write_optimised(made)
write_exported(made)
write_product()
(folder / "versions.json").write_text(json.dumps({"onnx": onnx.__version__}))
