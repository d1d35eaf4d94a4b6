#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reference sentence vectors of a BERT sentence-transformers folder, in numpy only.

Why: the embeddings of an imported GGUF must agree with the model they were imported from. This is a
second, independent forward pass over the same safetensors file, written to be read: no torch, no
llama.cpp, no tokenizers library.

Use:   reference_embed.py MODEL_DIR < sentences > vectors.f32
In:    one text a line (UTF-8); with --json each line is a JSON string, so a text may hold newlines.
Out:   little-endian float32, one row per line in the same order, unit length.
Limits: BERT with absolute positions, exact (erf) gelu, WordPiece, mean or cls pooling; refuses others.
The input is cut to the model's own max_seq_length (sentence_bert_config.json; 256 for
all-MiniLM-L6-v2), [CLS] and [SEP] included, as sentence-transformers does.
Exit:  0 done; 2 wrong input; 77 numpy is missing (the test harness reads 77 as "skipped").
"""
import argparse
import json
import os
import struct
import sys
import unicodedata

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
try:
    import numpy as np
except ImportError:
    sys.stderr.write("reference_embed: numpy is not installed: skipped\n")
    sys.exit(77)

F32 = "<f4"


def load_json(folder, name, missing=None):
    path = os.path.join(folder, name)
    if not os.path.exists(path) and missing is not None:
        return missing
    with open(path, encoding="utf-8") as f:
        return json.load(f)


class Tensors:
    """The tensors of one safetensors file as float32 arrays, by name."""

    def __init__(self, path):
        self.raw = np.memmap(path, dtype=np.uint8, mode="r")
        (size,) = struct.unpack("<Q", self.raw[:8].tobytes())
        head = json.loads(self.raw[8:8 + size].tobytes())
        head.pop("__metadata__", None)
        # Checkpoints saved with a head on top prefix every name with "bert."
        self.head = {k[5:] if k.startswith("bert.") else k: v for k, v in head.items()}
        self.start = 8 + size

    def get(self, name):
        t = self.head[name]
        a, b = t["data_offsets"]
        raw = self.raw[self.start + a:self.start + b]
        if t["dtype"] == "F32":
            out = raw.view(F32)
        elif t["dtype"] == "F16":
            out = raw.view("<f2").astype(F32)
        elif t["dtype"] == "BF16":
            out = (raw.view("<u2").astype("<u4") << 16).view(F32)
        else:
            raise SystemExit(f"reference_embed: tensor {name} has dtype {t['dtype']}")
        return out.reshape(t["shape"])


# --- WordPiece, as BertTokenizer does it -----------------------------------------------------------


def is_cjk(c):
    return any(a <= c <= b for a, b in (
        (0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F),
        (0x2B740, 0x2B81F), (0x2B920, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F)))


def is_punctuation(ch):
    c = ord(ch)
    # All ASCII that is neither letter, digit nor space counts, also $ + < ^ ` that Unicode calls symbols.
    if 33 <= c <= 47 or 58 <= c <= 64 or 91 <= c <= 96 or 123 <= c <= 126:
        return True
    return unicodedata.category(ch).startswith("P")


class WordPiece:
    def __init__(self, folder):
        with open(os.path.join(folder, "vocab.txt"), encoding="utf-8") as f:
            self.ids = {line.rstrip("\n"): i for i, line in enumerate(f)}
        conf = load_json(folder, "tokenizer_config.json", {})
        self.lower = conf.get("do_lower_case", True)
        strip = conf.get("strip_accents")
        self.strip = self.lower if strip is None else strip
        self.split_cjk = conf.get("tokenize_chinese_chars", True)
        self.unk = self.ids["[UNK]"]
        self.cls = self.ids["[CLS]"]
        self.sep = self.ids["[SEP]"]
        self.known = {}

    def words(self, text):
        out = []
        for ch in text:
            c = ord(ch)
            if c == 0 or c == 0xFFFD:
                continue
            cat = unicodedata.category(ch)
            if ch in "\t\n\r" or cat == "Zs" or ch.isspace():
                out.append(" ")
            elif cat.startswith("C"):
                continue
            elif self.split_cjk and is_cjk(c):
                out.append(" " + ch + " ")
            else:
                out.append(ch)
        text = "".join(out)
        if self.strip:
            text = "".join(ch for ch in unicodedata.normalize("NFD", text)
                           if unicodedata.category(ch) != "Mn")
        if self.lower:
            # One code point at a time, without the final-sigma rule: what the fast tokenizer does.
            text = "".join(ch.lower() for ch in text)
        word = ""
        for ch in text:
            if ch.isspace() or is_punctuation(ch):
                if word:
                    yield word
                word = ""
                if not ch.isspace():
                    yield ch
            else:
                word += ch
        if word:
            yield word

    def pieces(self, word):
        if len(word) > 100:
            return [self.unk]
        out, start = [], 0
        while start < len(word):
            for end in range(len(word), start, -1):
                piece = ("##" if start else "") + word[start:end]
                if piece in self.ids:
                    break
            else:
                return [self.unk]
            out.append(self.ids[piece])
            start = end
        return out

    def encode(self, text, limit):
        ids = []
        for word in self.words(text):
            if word not in self.known:
                self.known[word] = self.pieces(word)
            ids += self.known[word]
            if len(ids) >= limit - 2:
                break
        return [self.cls] + ids[:limit - 2] + [self.sep]


# --- the forward pass ------------------------------------------------------------------------------


def erf(x):
    """Abramowitz and Stegun 7.1.26; absolute error at most 1.5e-7, about the rounding of float32."""
    a = np.abs(x)
    t = 1.0 / (1.0 + np.float32(0.3275911) * a)
    poly = t * (np.float32(0.254829592) + t * (np.float32(-0.284496736) + t * (
        np.float32(1.421413741) + t * (np.float32(-1.453152027) + t * np.float32(1.061405429)))))
    return np.copysign(1.0 - poly * np.exp(-a * a), x)


def gelu(x):
    return np.float32(0.5) * x * (1.0 + erf(x * np.float32(0.7071067811865476)))


class Bert:
    def __init__(self, folder):
        conf = load_json(folder, "config.json")
        for key, want in (("model_type", "bert"), ("hidden_act", "gelu"),
                          ("position_embedding_type", "absolute")):
            if conf.get(key, want) != want:
                raise SystemExit(f"reference_embed: config.json: {key} is {conf[key]}, not {want}")
        self.t = Tensors(os.path.join(folder, "model.safetensors"))
        self.heads = conf["num_attention_heads"]
        self.layers = conf["num_hidden_layers"]
        self.eps = np.float32(conf.get("layer_norm_eps", 1e-12))
        sbert = load_json(folder, "sentence_bert_config.json", {})
        self.limit = min(sbert.get("max_seq_length") or 512, conf["max_position_embeddings"])
        pool = load_json(folder, "1_Pooling/config.json", {"pooling_mode_mean_tokens": True})
        self.use_cls = bool(pool.get("pooling_mode_cls_token"))
        if not self.use_cls and not pool.get("pooling_mode_mean_tokens"):
            raise SystemExit("reference_embed: 1_Pooling/config.json: only mean and cls pooling")

    def norm(self, x, name):
        x = x - x.mean(axis=-1, keepdims=True)
        x /= np.sqrt((x * x).mean(axis=-1, keepdims=True) + self.eps)
        return x * self.t.get(name + ".weight") + self.t.get(name + ".bias")

    def dense(self, x, name):
        w, b = self.t.get(name + ".weight"), self.t.get(name + ".bias")
        return (x.reshape(-1, x.shape[-1]) @ w.T + b).reshape(*x.shape[:-1], w.shape[0])

    def split(self, x):
        n, length, dim = x.shape
        return x.reshape(n, length, self.heads, dim // self.heads).transpose(0, 2, 1, 3)

    def layer(self, x, i):
        # All rows of a batch have the same length, so there is no padding and no mask.
        p = f"encoder.layer.{i}."
        q, k, v = (self.split(self.dense(x, p + "attention.self." + n)) for n in ("query", "key", "value"))
        s = q @ k.transpose(0, 1, 3, 2) / np.float32(np.sqrt(q.shape[-1]))
        s = np.exp(s - s.max(axis=-1, keepdims=True))
        s /= s.sum(axis=-1, keepdims=True)
        a = (s @ v).transpose(0, 2, 1, 3).reshape(x.shape)
        x = self.norm(x + self.dense(a, p + "attention.output.dense"), p + "attention.output.LayerNorm")
        h = self.dense(gelu(self.dense(x, p + "intermediate.dense")), p + "output.dense")
        return self.norm(x + h, p + "output.LayerNorm")

    def embed(self, ids):
        """ids: [n x length] of one length; returns [n x dim], unit rows."""
        e = "embeddings."
        x = self.t.get(e + "word_embeddings.weight")[ids]
        x = x + self.t.get(e + "position_embeddings.weight")[:ids.shape[1]]
        x = x + self.t.get(e + "token_type_embeddings.weight")[0]
        x = self.norm(x, e + "LayerNorm")
        for i in range(self.layers):
            x = self.layer(x, i)
        x = x[:, 0] if self.use_cls else x.mean(axis=1)
        return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12)


def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("model", help="folder with model.safetensors, vocab.txt, config.json, 1_Pooling/")
    ap.add_argument("--json", action="store_true", help="each line is a JSON string")
    ap.add_argument("--tokens", action="store_true", help="print token ids instead of vectors")
    ap.add_argument("--max-seq", type=int, default=0, help="tokens a text is cut to (default: the model's)")
    args = ap.parse_args()

    lines = sys.stdin.buffer.read().decode("utf-8").split("\n")
    if lines and lines[-1] == "":
        lines.pop()
    if args.json:
        lines = [json.loads(line) for line in lines]
    bert, wp = Bert(args.model), WordPiece(args.model)
    limit = min(args.max_seq or bert.limit, 512)
    ids = [wp.encode(line, limit) for line in lines]
    if args.tokens:
        for row in ids:
            print(*row)
        return
    out, groups = None, {}
    for i, row in enumerate(ids):
        groups.setdefault(len(row), []).append(i)
    for length, rows in sorted(groups.items()):
        step = max(1, 4096 // length)
        for at in range(0, len(rows), step):
            part = rows[at:at + step]
            vec = bert.embed(np.array([ids[i] for i in part]))
            if out is None:
                out = np.zeros((len(ids), vec.shape[1]), dtype=F32)
            out[part] = vec
    if out is not None:
        sys.stdout.buffer.write(out.astype(F32).tobytes())


if __name__ == "__main__":
    main()
