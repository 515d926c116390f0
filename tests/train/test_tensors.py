"""Files of tensors: safetensors' own, written one tensor at a time."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from lmpipe.storage import file_sha256
from lmpipe.train.tensors import write_tensors

STATE = {
    "b": torch.randn(3, 5),
    "a": torch.randn(7).to(torch.bfloat16),
    "wide": torch.randn(2, 2, dtype=torch.float64),
    "turned": torch.randn(4, 3).T,
    "one": torch.randn(1),
}


def test_file_is_that_of_safetensors_byte_by_byte(tmp_path: Path) -> None:
    written = write_tensors(tmp_path / "ours", STATE)
    save_file({name: tensor.contiguous() for name, tensor in STATE.items()}, tmp_path / "theirs")
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()
    assert written == {"bytes": (tmp_path / "theirs").stat().st_size, "sha256": file_sha256(tmp_path / "theirs")}


def test_tensors_come_back_as_they_were(tmp_path: Path) -> None:
    write_tensors(tmp_path / "ours", STATE)
    found = load_file(tmp_path / "ours")
    assert all(torch.equal(found[name], tensor) for name, tensor in STATE.items())
    size = int.from_bytes((tmp_path / "ours").read_bytes()[:8], "little")
    assert json.loads((tmp_path / "ours").read_bytes()[8 : 8 + size])["turned"]["shape"] == [3, 4]
