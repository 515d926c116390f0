"""What a request of OpenAI's form asks for, and the answer to it as it grows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from lmpipe.apply.decoding import Decoding, check_decoding
from lmpipe.apply.generate import Ending, Step, Writer, most_probable
from lmpipe.apply.prompts import STOP, chat_prompt
from lmpipe.apply.text import GrowingText
from lmpipe.errors import InputError

NUMBERS: dict[str, tuple[type, ...]] = {
    "max_tokens": (int,), "temperature": (int, float), "top_k": (int,), "top_p": (int, float), "min_p": (int, float),
    "repetition_penalty": (int, float), "seed": (int,), "n": (int,), "logprobs": (int,),
}  # fmt: skip
"""Keys that are read, and what they hold; top_k, min_p and repetition_penalty are additions that vLLM has too."""

DEFAULT_TOKENS = 16
"""OpenAI's longest completion where none is named."""

MOST = 64
"""Prompts times `n` of one request, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request, checked."""

    prompts: tuple[tuple[int, ...], ...]
    """Ids; one for each answer."""
    hidden: int
    """Tokens before each prompt that the caller does not know: the end-of-text token of a text."""
    decoding: Decoding
    echo: bool
    logprobs: int | None
    stream: bool
    write: bool
    """False where no token is asked for (max_tokens = 0), only the prompt's probabilities."""


def completion_asked(writer: Writer, body: Mapping[str, Any]) -> Asked:
    """Read a request for completions. Raises InputError."""
    given = body.get("prompt", "")
    several = isinstance(given, list) and bool(given) and not isinstance(given[0], int)
    prompts = given if several else [given]
    texts = all(isinstance(prompt, str) for prompt in prompts)
    if not texts and not all(isinstance(p, list) and all(type(i) is int for i in p) for p in prompts):
        raise InputError("prompt: expected a text, a list of texts, a list of ids or a list of such lists.")
    ids = [writer.encode(prompt) if texts else prompt for prompt in prompts]
    return asked_of(writer, body, ids, int(texts), ())


def chat_asked(writer: Writer, body: Mapping[str, Any]) -> Asked:
    """Read a request for an answer to a conversation. Raises InputError."""
    messages = body.get("messages")
    if not isinstance(messages, list):
        raise InputError("messages: expected a list of objects with role and content.")
    longest = body.get("max_completion_tokens", body.get("max_tokens"))
    prompt = writer.encode(chat_prompt(messages))
    if longest is None:
        longest = min(256, writer.context - len(prompt)) if writer.context is not None else 256
    wanted = {key: value for key, value in body.items() if key not in ("logprobs", "echo")} | {"max_tokens": longest}
    return asked_of(writer, wanted, [prompt], 1, STOP)


def asked_of(
    writer: Writer, body: Mapping[str, Any], ids: Sequence[Sequence[int]], hidden: int, stop: tuple[str, ...]
) -> Asked:
    """Read what both kinds of requests have."""
    for key, kinds in NUMBERS.items():
        value = body.get(key)
        if value is not None and (not isinstance(value, kinds) or isinstance(value, bool)):
            raise InputError(f"{key}: expected a number, found {value!r:.40}.")
    number = body.get("n") or 1
    if not 1 <= len(ids) * number <= MOST:
        raise InputError(f"expected 1 to {MOST} answers, found {len(ids)} prompts times n = {number}.")
    decoding = decoding_of(body, stop)
    asked = Asked(
        prompts=tuple(tuple(prompt) for prompt in ids for _ in range(number)),
        hidden=hidden,
        decoding=decoding if decoding.max_tokens else replace(decoding, max_tokens=1),
        echo=bool(body.get("echo")),
        logprobs=body.get("logprobs"),
        stream=bool(body.get("stream")),
        write=decoding.max_tokens > 0,
    )
    check_decoding(asked.decoding)
    writer.check(asked.prompts, replace(asked.decoding, max_tokens=decoding.max_tokens or 1), with_room=asked.write)
    return asked


def decoding_of(body: Mapping[str, Any], stop: tuple[str, ...]) -> Decoding:
    """Read how tokens are chosen; OpenAI's temperature 0 is the most probable token."""
    given = body.get("stop") or ()
    more = (given,) if isinstance(given, str) else tuple(given)
    if not all(isinstance(text, str) for text in more):
        raise InputError("stop: expected a text or a list of texts.")
    temperature, longest = body.get("temperature"), body.get("max_tokens")
    seed = body.get("seed")
    return Decoding(
        max_tokens=DEFAULT_TOKENS if longest is None else longest,
        temperature=1.0 if temperature is None else temperature or None,
        top_k=body.get("top_k"),
        top_p=body.get("top_p"),
        min_p=body.get("min_p"),
        repetition_penalty=body.get("repetition_penalty") or 1.0,
        stop=(*stop, *more),
        seed=int(torch.randint(1 << 31, ()).item()) if seed is None else seed,
    )


class Answer:
    """One answer as it grows."""

    def __init__(self, writer: Writer, asked: Asked, number: int) -> None:
        self.writer, self.asked, self.number = writer, asked, number
        self.prompt = asked.prompts[number]
        self.grown = GrowingText(writer.decode, asked.decoding.stop)
        self.tokens: list[Step] = []
        self.ending: Ending = "length"

    @property
    def prompt_text(self) -> str:
        """The prompt as text."""
        return self.writer.decode(self.prompt[self.asked.hidden :])

    @property
    def text(self) -> str:
        """What has been written."""
        return self.grown.text

    def pieces(self) -> Iterator[str]:
        """Write, and yield text as it becomes safe to show."""
        if not self.asked.write:
            return
        shown, top = 0, self.asked.logprobs or 0
        for step in self.writer.steps([self.prompt], self.asked.decoding, [self.grown], self.number, top):
            self.tokens.append(step)
            yield self.grown.text[shown : self.grown.num_given]
            shown = self.grown.num_given
        yield self.grown.finish()
        self.ending = self.writer.ending(self.grown)


def token_logprobs(writer: Writer, asked: Asked, answer: Answer) -> dict[str, Any] | None:
    """Lay out the log probability of each token, those of an echoed prompt too; of the first only behind another."""
    if asked.logprobs is None:
        return None
    rows: list[tuple[int, float | None, Mapping[int, float] | None]] = []
    if asked.echo:
        rows += prompt_rows(writer, answer.prompt, asked)
    rows += [(step.token, -step.nats, {token: -nats for token, nats in step.top}) for step in answer.tokens]
    names = [token_name(writer, token) for token, _, _ in rows]
    starts = [sum(map(len, names[:place])) for place in range(len(names))]
    tops = [
        None if top is None else {token_name(writer, token): value for token, value in top.items()} for *_, top in rows
    ]
    return {
        "tokens": names,
        "token_logprobs": [value for _, value, _ in rows],
        "top_logprobs": tops,
        "text_offset": starts,
    }


def token_name(writer: Writer, token: int) -> str:
    """Name a token by its text; the end-of-text token and parts of characters by number, so that none are alike."""
    text = writer.decode([token])
    return text if text and "\ufffd" not in text else f"<{token}>"


@torch.inference_mode()
def prompt_rows(
    writer: Writer, prompt: Sequence[int], asked: Asked
) -> list[tuple[int, float | None, Mapping[int, float] | None]]:
    """Score the tokens of a prompt that the caller knows, each behind those before it."""
    log_p_TV = writer.model(torch.tensor([list(prompt)], device=writer.model.head_VW.device))[0].log_softmax(-1)
    tops = most_probable(log_p_TV, asked.logprobs or 0)
    rows: list[tuple[int, float | None, Mapping[int, float] | None]] = []
    for place in range(asked.hidden, len(prompt)):
        if place == 0:
            rows.append((prompt[0], None, None))
            continue
        top = {token: -nats for token, nats in tops[place - 1]}
        rows.append((prompt[place], float(log_p_TV[place - 1, prompt[place]]), top))
    return rows
