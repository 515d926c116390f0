"""Teach a model to converse: chats in the common JSONL form become documents, which examples/dialogue.toml trains on.

    lmpipe import models/gpt2 --data data                      # or any run of ours under data/runs
    python examples/dialogue.py chats.jsonl examples/chats/documents.jsonl
    lmpipe run examples/dialogue.toml --data data              # with init and tokenizer.path set to that run
    lmpipe generate data/runs/dialogue-tuned-* --template dialogue --stop $'\\nUser:' --prompt "Good morning!"
    lmpipe serve data/runs/dialogue-tuned-*                    # chat with it on the page

A line of chats.jsonl is {"messages": [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]}.
"""

import json
import sys
from pathlib import Path

from lmpipe.apply.prompts import read_chats


def write_documents(chats: Path, documents: Path) -> int:
    """Write one JSONL document a conversation, and return how many."""
    documents.parent.mkdir(parents=True, exist_ok=True)
    number = 0
    with documents.open("w", encoding="utf-8") as file:
        for number, text in enumerate(read_chats(chats), start=1):
            file.write(json.dumps({"id": str(number), "text": text}, ensure_ascii=False) + "\n")
    return number


if __name__ == "__main__":
    print(write_documents(Path(sys.argv[1]), Path(sys.argv[2])), "conversations")
