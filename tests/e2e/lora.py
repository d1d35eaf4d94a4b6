# SPDX-License-Identifier: Apache-2.0
"""A small LoRA of random weights as GGUF, for tests: rank 4 over some attention tensors of SmolLM2-135M."""
import random
import struct

WIDTH, LAYERS, RANK = 576, 30, 4


def text(s):
    data = s.encode()
    return struct.pack("<Q", len(data)) + data


def write(path, seed, scale=0.6, width=WIDTH, arch="llama", layers=range(0, LAYERS, 3)):
    """scale 0: an adapter that changes nothing."""
    rng = random.Random(seed)
    tensors = []
    for layer in layers:
        for name, out in (("attn_q", width), ("attn_output", width)):
            a = [rng.gauss(0, 1) * 0.05 for _ in range(width * RANK)]
            b = [rng.gauss(0, 1) * scale for _ in range(RANK * out)]
            tensors.append((f"blk.{layer}.{name}.weight.lora_a", (width, RANK), a))
            tensors.append((f"blk.{layer}.{name}.weight.lora_b", (RANK, out), b))
    keys = [("general.architecture", arch), ("general.type", "adapter"), ("adapter.type", "lora"), ("general.name", f"test {seed}")]
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys) + 1)
    for key, value in keys:
        head += text(key) + struct.pack("<I", 8) + text(value)
    head += text("adapter.lora.alpha") + struct.pack("<If", 6, 4.0)
    data = b""
    for name, shape, values in tensors:
        head += text(name) + struct.pack("<I", 2) + struct.pack("<QQ", *shape) + struct.pack("<IQ", 0, len(data))
        data += struct.pack(f"<{len(values)}f", *values)
        data += b"\0" * (-len(data) % 32)
    path.write_bytes(head + b"\0" * (-len(head) % 32) + data)
    return path
