"""Trains the byte-level BPE tokenizer of models/tiny on .cache/tiny/corpus.json and writes it beside the model.

usage: tokenizer.py CORPUS_JSON MODEL_DIR SAMPLE_JSON

SAMPLE_JSON receives texts with their ids, for the check that the TypeScript tokenizer agrees.
"""

import json
import sys

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

VOCABULARY = 1024
START = "<|endoftext|>"
CONTEXT = 128


def texts(chapters):
    return ["\n".join(verses) + "\n" for verses in chapters]


def main(corpus_path, model_dir, sample_path):
    with open(corpus_path, encoding="utf-8") as file:
        corpus = json.load(file)

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[START],
        # All 256 bytes, so that every text can be encoded.
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    # The held-out chapters are kept from the tokenizer too.
    tokenizer.train_from_iterator(texts(corpus["train"]), trainer)
    tokenizer.save(f"{model_dir}/tokenizer.json")

    config = {
        "add_prefix_space": False,
        "bos_token": START,
        "clean_up_tokenization_spaces": False,
        "eos_token": START,
        "model_max_length": CONTEXT,
        "tokenizer_class": "GPT2TokenizerFast",
        "unk_token": START,
    }
    special = {name: START for name in ("bos_token", "eos_token", "unk_token")}
    for name, content in (("tokenizer_config", config), ("special_tokens_map", special)):
        with open(f"{model_dir}/{name}.json", "w", encoding="utf-8") as file:
            json.dump(content, file, indent=2)
            file.write("\n")

    unusual = ["", " ", "  two  spaces ", "\n\n", "naïve café", "日本語 🙂", "a" + START + "b", "don't I'll we've", "1611 x=3.14", "\t\x00\x7f"]
    sample = texts(corpus["validation"]) + texts(corpus["train"][::10]) + unusual
    with open(sample_path, "w", encoding="utf-8") as file:
        json.dump([{"text": text, "ids": tokenizer.encode(text).ids} for text in sample], file)


if __name__ == "__main__":
    main(*sys.argv[1:])
