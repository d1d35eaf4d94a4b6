# SPDX-License-Identifier: Apache-2.0
"""A small LoRA of random weights as GGUF, for tests, over some attention tensors of SmolLM2-135M."""
import random
import struct

WIDTH, LAYERS = 576, 30


def text(s):
    data = s.encode()
    return struct.pack("<Q", len(data)) + data


def write(path, seed, scale=0.6, width=WIDTH, arch="llama", layers=range(0, LAYERS, 3), rank=4, tensors=("attn_q", "attn_output")):
    """scale 0: an adapter that changes nothing."""
    rng = random.Random(seed)
    parts = []
    for layer in layers:
        for name in tensors:
            a = [rng.gauss(0, 1) * 0.05 for _ in range(width * rank)]
            b = [rng.gauss(0, 1) * scale for _ in range(rank * width)]
            parts.append((f"blk.{layer}.{name}.weight.lora_a", (width, rank), a))
            parts.append((f"blk.{layer}.{name}.weight.lora_b", (rank, width), b))
    keys = [("general.architecture", arch), ("general.type", "adapter"), ("adapter.type", "lora"), ("general.name", f"test {seed}")]
    head = b"GGUF" + struct.pack("<IQQ", 3, len(parts), len(keys) + 1)
    for key, value in keys:
        head += text(key) + struct.pack("<I", 8) + text(value)
    head += text("adapter.lora.alpha") + struct.pack("<If", 6, float(rank))
    data = b""
    for name, shape, values in parts:
        head += text(name) + struct.pack("<I", 2) + struct.pack("<QQ", *shape) + struct.pack("<IQ", 0, len(data))
        data += struct.pack(f"<{len(values)}f", *values)
        data += b"\0" * (-len(data) % 32)
    path.write_bytes(head + b"\0" * (-len(head) % 32) + data)
    return path


def stamp(path, seed):
    """One direction, so large behind the last attention that every token hangs on nothing but its sign."""
    return write(path, seed, scale=1e5, layers=[LAYERS - 1], rank=1, tensors=["attn_output"])
