"""A small local server: OpenAI's completions and chat completions over one model, and a page to try it.

    lmpipe serve data/runs/demo-transformer-1a2b3c4d

    GET  /                      a page for continuations and chats, without anything from elsewhere
    GET  /v1/models             the one model
    POST /v1/completions        prompts as texts or ids; echo and logprobs as lm-evaluation-harness asks for them
    POST /v1/chat/completions   messages, laid out by lmpipe.apply.prompts

Listens on loopback unless told otherwise: it asks nobody for a key. Only requests for the host names that it was
started under are answered, so that a web page elsewhere cannot reach it by a name of its own (DNS rebinding).
Requests take turns token by token.
"""

import json
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from importlib.resources import files
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from lmpipe.apply.answer import Answer, Asked, chat_asked, completion_asked, token_logprobs
from lmpipe.apply.generate import Writer
from lmpipe.errors import LmpipeError

LOOPBACK = ("127.0.0.1", "localhost", "[::1]", "::1")
"""Names of this machine for itself."""

LARGEST = 4 << 20
"""Bytes of a request; a context is shorter."""

POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'"
"""What the page may load: nothing from anywhere else."""


class Server:
    """The model, and whose turn it is."""

    def __init__(self, writer: Writer) -> None:
        self.writer, self.turn = writer, threading.Lock()

    def page(self, request: Request) -> Response:
        """Answer the page."""
        text = files("lmpipe.apply").joinpath("page.html").read_text(encoding="utf-8")
        return HTMLResponse(text, headers={"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff"})

    def models(self, request: Request) -> Response:
        """List the one model."""
        model = {"id": self.writer.run.name, "object": "model", "created": 0, "owned_by": "lmpipe"}
        model |= {"context": self.writer.context, "kind": self.writer.run.settings.model.kind}
        return JSONResponse({"object": "list", "data": [model]})

    async def completions(self, request: Request) -> Response:
        """Continue prompts."""
        body = await read_body(request)
        asked = completion_asked(self.writer, body)
        if asked.stream:
            return events(self.completion_events(asked))
        return JSONResponse(await run_in_threadpool(self.completion, asked))

    async def chat(self, request: Request) -> Response:
        """Answer a conversation."""
        asked = chat_asked(self.writer, await read_body(request))
        if asked.stream:
            return events(self.chat_events(asked))
        answers = await run_in_threadpool(lambda: list(self.answers(asked)))
        choices = [
            {"index": n, "message": {"role": "assistant", "content": one.text.strip()}, "finish_reason": one.ending}
            for n, one in enumerate(answers)
        ]
        return JSONResponse(self.envelope("chat.completion", choices) | usage(asked, answers))

    def envelope(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        """Put choices into what every answer has."""
        ident = f"lmpipe-{uuid.uuid4().hex}"
        body = {"id": ident, "object": kind, "created": int(time.time()), "model": self.writer.run.name}
        return body | {"choices": choices}

    def answers(self, asked: Asked) -> Iterator[Answer]:
        """Write all answers, one after the other."""
        for number in range(len(asked.prompts)):
            answer = Answer(self.writer, asked, number)
            for _ in self.pieces(answer):
                pass
            yield answer

    def pieces(self, answer: Answer) -> Iterator[str]:
        """Write one answer piece by piece, taking turns with other requests."""
        pieces = answer.pieces()
        while True:
            with self.turn:
                piece = next(pieces, None)
            if piece is None:
                return
            yield piece

    def completion(self, asked: Asked) -> dict[str, Any]:
        """Write a whole answer."""
        answers = list(self.answers(asked))
        choices = [
            {
                "index": number,
                "text": (answer.prompt_text if asked.echo else "") + answer.text,
                "finish_reason": answer.ending,
                "logprobs": token_logprobs(self.writer, asked, answer),
            }
            for number, answer in enumerate(answers)
        ]
        return self.envelope("text_completion", choices) | usage(asked, answers)

    def completion_events(self, asked: Asked) -> Iterator[dict[str, Any]]:
        """Write answers as they come."""
        for number in range(len(asked.prompts)):
            answer = Answer(self.writer, asked, number)
            for piece in (answer.prompt_text if asked.echo else "", *self.pieces(answer)):
                if piece:
                    choice = {"index": number, "text": piece, "finish_reason": None, "logprobs": None}
                    yield self.envelope("text_completion", [choice])
            choice = {"index": number, "text": "", "finish_reason": answer.ending, "logprobs": None}
            yield self.envelope("text_completion", [choice])

    def chat_events(self, asked: Asked) -> Iterator[dict[str, Any]]:
        """Write an answer to a conversation as it comes."""
        for number in range(len(asked.prompts)):
            answer, begun = Answer(self.writer, asked, number), False
            yield self.chat_event(number, {"role": "assistant", "content": ""}, None)
            for piece in self.pieces(answer):
                shown = piece if begun else piece.lstrip()
                if shown:
                    begun = True
                    yield self.chat_event(number, {"content": shown}, None)
            yield self.chat_event(number, {}, answer.ending)

    def chat_event(self, number: int, delta: dict[str, str], ending: str | None) -> dict[str, Any]:
        """Lay out a piece of a conversation."""
        choice = {"index": number, "delta": delta, "finish_reason": ending}
        return self.envelope("chat.completion.chunk", [choice])


def usage(asked: Asked, answers: Sequence[Answer]) -> dict[str, Any]:
    """Count tokens."""
    prompt, written = sum(map(len, asked.prompts)), sum(len(answer.tokens) for answer in answers)
    return {"usage": {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written}}


async def read_body(request: Request) -> dict[str, Any]:
    """Read a request's JSON, and no more of it than a context can need."""
    received = b""
    async for chunk in request.stream():
        received += chunk
        if len(received) > LARGEST:
            raise LmpipeError(f"expected at most {LARGEST} bytes. Send shorter prompts.")
    try:
        body = json.loads(received)
    except ValueError as error:
        raise LmpipeError(f"expected JSON, found something else ({error}).") from None
    if not isinstance(body, dict):
        raise LmpipeError("expected a JSON object.")
    return body


def events(bodies: Iterator[dict[str, Any]]) -> Response:
    """Send bodies as server-sent events, with OpenAI's last word; a mistake found on the way is the last body."""

    def lines() -> Iterator[str]:
        try:
            for body in bodies:
                yield f"data: {json.dumps(body, ensure_ascii=False)}\n\n"
        except LmpipeError as error:
            yield f"data: {json.dumps(error_body(error), ensure_ascii=False)}\n\n"
        yield "data: [DONE]\n\n"

    return StreamingResponse(lines(), media_type="text/event-stream", headers={"Cache-Control": "no-cache"})


def error_body(error: Exception) -> dict[str, Any]:
    """Lay a mistake out as OpenAI does."""
    return {"error": {"message": str(error), "type": "invalid_request_error", "param": None, "code": None}}


async def refuse(request: Request, error: Exception) -> Response:
    """Answer a caller's mistake."""
    return JSONResponse(error_body(error), status_code=400)


def application(writer: Writer, hosts: Sequence[str] = LOOPBACK) -> Starlette:
    """Make the application; `hosts` are the names under which it may be asked."""
    server = Server(writer)
    routes = [
        Route("/", server.page),
        Route("/v1/models", server.models),
        Route("/v1/completions", server.completions, methods=["POST"]),
        Route("/v1/chat/completions", server.chat, methods=["POST"]),
    ]
    guard = Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))
    return Starlette(routes=routes, middleware=[guard], exception_handlers={LmpipeError: refuse})


def serve(writer: Writer, host: str, port: int) -> None:
    """Serve until Ctrl-C."""
    import uvicorn  # half a second of imports that only this way pays

    hosts = LOOPBACK if host in LOOPBACK else (*LOOPBACK, host)
    uvicorn.run(application(writer, hosts), host=host, port=port, log_level="warning")
