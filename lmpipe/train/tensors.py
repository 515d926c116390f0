"""Write a file of tensors with one of them in memory at a time, however they are spread over processes.

The format is that of safetensors (its README, "Format"): 8 bytes of length, a JSON header with type, shape and
place of each tensor, their bytes. The package reads it; its writer wants all tensors whole and at once, which a
model that no single process can hold does not allow. A test compares the two writers byte by byte.
"""

import ctypes
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lmpipe.train.sharding import whole

KINDS = {torch.float64: "F64", torch.float32: "F32", torch.bfloat16: "BF16", torch.int64: "I64"}
"""What weights, moments, states and counts are made of, in safetensors' words."""


def write_tensors(path: Path, state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Write tensors to disk, down to the platter, and return size and sha256 of the file.

    Where they are spread over processes, the others call `help_write` with the same names.
    """
    digest, names = hashlib.sha256(), in_order(state)
    with path.open("wb") as file:
        head = header({name: state[name] for name in names})
        digest.update(head)
        file.write(head)
        for name in names:
            tensor = whole(state[name]).detach().cpu().contiguous()
            body = (ctypes.c_char * tensor.nbytes).from_address(tensor.data_ptr())  # no copy, and no numpy
            digest.update(body)
            file.write(body)
        file.flush()
        os.fsync(file.fileno())
    return {"bytes": path.stat().st_size, "sha256": digest.hexdigest()}


def help_write(state: Mapping[str, Tensor]) -> None:
    """Hand our shards to the process that writes, tensor by tensor."""
    for name in in_order(state):
        whole(state[name])


def in_order(state: Mapping[str, Tensor]) -> list[str]:
    """Order tensors as safetensors does: wide types first, so that all lie aligned, then by name."""
    return sorted(state, key=lambda name: (-state[name].element_size(), name))


def header(state: Mapping[str, Tensor]) -> bytes:
    """Lay out the header of tensors in their order, filled up to a multiple of 8 bytes."""
    body, start = {}, 0
    for name, tensor in state.items():
        end = start + tensor.numel() * tensor.element_size()
        body[name] = {"dtype": KINDS[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [start, end]}
        start = end
    text = json.dumps(body, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text
