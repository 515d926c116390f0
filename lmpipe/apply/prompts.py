"""Prompt templates: a headline to a story, a conversation to text.

A conversation is written with plain names of the speakers, so that any tokenizer and any model can learn it:

    User: Good morning!
    Assistant: Good morning. What can I do for you?

Training documents and prompts are laid out by the same function, so that a model is asked as it was taught.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lmpipe.errors import InputError

SPEAKERS = {"system": "System", "user": "User", "assistant": "Assistant"}
"""Roles of the chat format, and how they are written."""

TEMPLATES = {"news": "{prompt}\n\n", "dialogue": "User: {prompt}\nAssistant:"}
"""By name: a story follows its headline after a blank line; a question waits for the assistant."""

STOP = ("\nUser:", "\nSystem:")
"""Where an answer ends: the next speaker is not the model's to play."""


def fill(template: str | None, prompt: str) -> str:
    """Put a prompt into a template: a name of TEMPLATES, or a text with {prompt} in it; None takes it as it is.

    Raises InputError for a template without a place for the prompt.
    """
    if template is None:
        return prompt
    text = TEMPLATES.get(template, template)
    if "{prompt}" not in text:
        raise InputError(
            f"template {template!r}: expected one of {sorted(TEMPLATES)} or a text with {{prompt}} in it. Mend it."
        )
    return text.replace("{prompt}", prompt)


def chat_prompt(messages: Sequence[Mapping[str, Any]]) -> str:
    """Write a conversation as text that the assistant's next words continue."""
    return f"{chat_text(messages, 'messages')}\nAssistant:"


def chat_text(messages: Sequence[Mapping[str, Any]], where: str) -> str:
    """Write a conversation as text. Raises InputError for a message without known role and text."""
    lines = []
    for number, message in enumerate(messages):
        role, content = (message.get(key) for key in ("role", "content")) if isinstance(message, Mapping) else (0, 0)
        if role not in SPEAKERS or not isinstance(content, str):
            raise InputError(
                f"{where}: message {number}: expected a role of {sorted(SPEAKERS)} and content as text, found"
                f" {message!r:.80}."
            )
        lines.append(f"{SPEAKERS[role]}: {content.strip()}")
    if not lines:
        raise InputError(f"{where}: expected at least one message, found none.")
    return "\n".join(lines)


def read_chats(path: Path) -> Iterator[str]:
    """Read conversations from JSONL, {"messages": [{"role": ..., "content": ...}, ...]} a line, as texts."""
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            where = f"{path}: line {number}"
            try:
                body = json.loads(line)
            except ValueError as error:
                raise InputError(f"{where}: not JSON ({error}).") from None
            if not isinstance(body, dict) or not isinstance(body.get("messages"), list):
                raise InputError(f'{where}: expected {{"messages": [...]}}, found {line.strip()!r:.60}.')
            yield chat_text(body["messages"], where)
