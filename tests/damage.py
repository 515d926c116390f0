"""How files are damaged in tests."""

from pathlib import Path


def flip(path: Path) -> None:
    """Change one bit in the middle of a file, which keeps its size."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
