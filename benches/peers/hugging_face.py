"""Hugging Face's GPT-2 with random weights, timed on request.

Reads a workload a line ("forward 128"), runs it once and answers with its wall time and its processor time in
milliseconds, so that whoever asks can take turns with it.
"""

import os
import sys
import time

import torch
import transformers

torch.set_num_threads(int(os.environ["BENCH_THREADS"]))
transformers.logging.set_verbosity_error()
model = transformers.GPT2LMHeadModel(transformers.GPT2Config()).eval()


def tokens(pos):
    return torch.tensor([[(i * 7919 + 13) % model.config.vocab_size for i in range(pos)]])


def forward(pos):
    with torch.no_grad():
        model(tokens(pos), use_cache=False)


def gradients(pos):
    model.zero_grad(set_to_none=True)
    ids = tokens(pos)
    model(ids, labels=ids, use_cache=False).loss.backward()


WORKLOADS = {"forward": forward, "gradients": gradients}

print(f"torch {torch.__version__}, transformers {transformers.__version__}", flush=True)
for line in sys.stdin:
    name, pos = line.split()
    wall, cpu = time.perf_counter(), time.process_time()
    WORKLOADS[name](int(pos))
    print((time.perf_counter() - wall) * 1e3, (time.process_time() - cpu) * 1e3, flush=True)
