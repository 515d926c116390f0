"""The server: OpenAI's forms over a real model, through a real socket and a real browser."""

import asyncio
import json
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Queue
from shutil import which
from typing import Any

import httpx
import pytest
import torch
import uvicorn
from apply.runs import TEXTS, random_run
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from lmpipe.apply.decoding import Decoding
from lmpipe.apply.generate import Writer, open_model
from lmpipe.apply.serve import application


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> Writer:
    return open_model(random_run(tmp_path_factory.mktemp("run")))


@contextmanager
def listening(app: Starlette) -> Iterator[str]:
    """Serve on a free port of loopback."""
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])))
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def client(writer: Writer) -> Iterator[httpx.Client]:
    with listening(application(writer)) as url, httpx.Client(base_url=url, timeout=60) as client:
        yield client


def ask(client: httpx.Client, body: dict[str, Any], path: str = "/v1/completions") -> dict[str, Any]:
    answer = client.post(path, json={"model": "any", "temperature": 0, "max_tokens": 8} | body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def events(client: httpx.Client, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    with client.stream("POST", path, json=body | {"stream": True}) as answer:
        lines = [line.removeprefix("data: ") for line in answer.iter_lines() if line]
    assert lines.pop() == "[DONE]"
    return [json.loads(line) for line in lines]


def test_completions_are_those_of_the_library(client: httpx.Client, writer: Writer) -> None:
    body = ask(client, {"prompt": ["The ship", "公司"]})
    greedy = Decoding(temperature=None, max_tokens=8)
    assert [choice["text"] for choice in body["choices"]] == [
        writer.write(prompt, greedy).text for prompt in ("The ship", "公司")
    ]
    assert body["usage"]["completion_tokens"] == 16
    assert body["model"] == writer.run.name


def test_streamed_pieces_make_the_whole_text(client: httpx.Client) -> None:
    asked = {"prompt": "公司", "temperature": 0.9, "seed": 5, "max_tokens": 12}
    pieces = events(client, "/v1/completions", asked)
    whole = ask(client, asked)["choices"][0]
    assert "".join(piece["choices"][0]["text"] for piece in pieces) == whole["text"]
    assert pieces[-1]["choices"][0]["finish_reason"] == whole["finish_reason"]


def test_echo_with_logprobs_scores_the_prompt(client: httpx.Client, writer: Writer) -> None:
    """As lm-evaluation-harness' local-completions asks: ids of context and continuation, and one token more."""
    ids = writer.encode(TEXTS[0])
    body = ask(client, {"prompt": ids, "echo": True, "logprobs": 1, "max_tokens": 1})
    found = body["choices"][0]["logprobs"]
    assert found["token_logprobs"][0] is None
    assert found["top_logprobs"][0] is None
    expected = -writer.scorer.score([ids[1:]])[0]
    assert found["token_logprobs"][1:-1] == pytest.approx(expected.tolist(), abs=1e-4)
    assert len(found["tokens"]) == len(found["top_logprobs"]) == len(ids) + 1
    for name, value, top in list(zip(found["tokens"], found["token_logprobs"], found["top_logprobs"], strict=True))[1:]:
        assert max(top.values()) >= value
        assert (name in top) == (value == max(top.values()))


def test_a_batch_of_ids_is_answered_as_lm_evaluation_harness_reads_it(client: httpx.Client, writer: Writer) -> None:
    prompts = [writer.encode(text) for text in TEXTS[:3]]
    asked = {"prompt": prompts, "temperature": 0, "max_tokens": 1, "logprobs": 1, "seed": 1234, "echo": True}
    choices = ask(client, asked)["choices"]
    assert [choice["index"] for choice in choices] == [0, 1, 2]
    for prompt, choice in zip(prompts, choices, strict=True):
        values, tops = (choice["logprobs"][key][5:-1] for key in ("token_logprobs", "top_logprobs"))
        nats = writer.scorer.score([prompt[1:]])[0]
        assert -sum(values) == pytest.approx(nats[4:].sum(), abs=1e-3)
        best = writer.model(torch.tensor([prompt]))[0, 4:-1].argmax(-1).tolist()
        greedy = [value == max(top.values()) for value, top in zip(values, tops, strict=True)]
        assert greedy == [token == wanted for token, wanted in zip(prompt[5:], best, strict=True)]


def test_a_prompt_alone_is_scored_when_no_token_is_asked_for(client: httpx.Client, writer: Writer) -> None:
    body = ask(client, {"prompt": TEXTS[0], "echo": True, "logprobs": 0, "max_tokens": 0})
    found = body["choices"][0]
    assert found["text"] == TEXTS[0]
    expected = -writer.scorer.score([writer.encode(TEXTS[0])[1:]])[0]
    assert found["logprobs"]["token_logprobs"] == pytest.approx(expected.tolist(), abs=1e-4)


def test_a_conversation_is_answered_and_streamed_alike(client: httpx.Client) -> None:
    asked = {"messages": [{"role": "user", "content": "Hi"}], "temperature": 0, "max_tokens": 9}
    whole = ask(client, asked, "/v1/chat/completions")["choices"][0]["message"]
    assert whole["role"] == "assistant"
    pieces = events(client, "/v1/chat/completions", asked)
    assert "".join(piece["choices"][0]["delta"].get("content", "") for piece in pieces).strip() == whole["content"]


BAD = [
    ({"prompt": {}}, "prompt: expected a text"),
    ({"prompt": []}, "at least one token"),
    ({"prompt": [[999]]}, "token 999 is not in the model's vocabulary"),
    ({"prompt": "a" * 200}, "more than the model's context of 64"),
    ({"prompt": "a", "temperature": "hot"}, "temperature: expected a number"),
    ({"prompt": "a", "top_p": 2}, "top_p: 2 is out of range"),
    ({"prompt": "a", "n": 65}, "1 to 64 answers"),
    ({"prompt": "a", "stop": [1]}, "stop: expected"),
]


@pytest.mark.parametrize(("body", "message"), BAD)
def test_a_bad_request_is_answered_with_its_reason(client: httpx.Client, body: dict[str, Any], message: str) -> None:
    answer = client.post("/v1/completions", json=body)
    assert answer.status_code == 400
    assert message in answer.json()["error"]["message"]


def test_what_is_no_json_is_answered_with_its_reason(client: httpx.Client) -> None:
    for content in (b"{", b"[]", b"\xff"):
        assert client.post("/v1/chat/completions", content=content).status_code == 400


def test_another_name_for_this_machine_is_not_answered(client: httpx.Client) -> None:
    assert client.get("/v1/models", headers={"Host": "evil.example"}).status_code == 400


def test_the_page_loads_nothing_from_elsewhere(client: httpx.Client) -> None:
    answer = client.get("/")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "http://" not in answer.text
    assert "https://" not in answer.text


SCRIPT = """<script>
window.addEventListener("load", async () => {
  document.getElementById("temperature").value = "0";
  document.getElementById("max_tokens").value = "8";
  document.getElementById("text").value = "公司 <b>&amp;";
  document.getElementById("go").click();
  const idle = () => document.getElementById("stop").disabled;
  const wait = async () => { do { await new Promise(r => setTimeout(r, 20)); } while (!idle()); };
  await wait();
  document.getElementById("tab-chat").click();
  document.getElementById("message").value = "<img src=x onerror=alert(1)>";
  document.getElementById("send").click();
  await wait();
  fetch("/seen", { method: "POST", body: JSON.stringify({
    text: document.getElementById("text").value,
    chat: [...document.querySelectorAll("#log p")].map(p => p.lastChild.data),
    images: document.images.length,
    model: document.getElementById("model").textContent,
    error: document.getElementById("error").textContent,
  })});
});
</script></body>"""
"""What a visitor does, put into the page; it sends home what is to be seen then."""


@pytest.mark.slow
def test_a_browser_continues_a_text_and_chats(writer: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chromium = which("chromium") or which("google-chrome")
    if chromium is None:
        pytest.skip("no chromium on this machine")
    read = Path.read_text
    monkeypatch.setattr(
        Path,
        "read_text",
        lambda path, **how: (
            read(path, **how).replace("</body>", SCRIPT) if path.name == "page.html" else read(path, **how)
        ),
    )
    reports: Queue[Any] = Queue()

    async def report(request: Request) -> Response:
        reports.put(await request.json())
        return Response()

    app = application(writer)
    app.router.routes.append(Route("/seen", report, methods=["POST"]))
    with listening(app) as url:
        command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}"]
        browser = subprocess.Popen([*command, "--remote-debugging-port=0", f"{url}/"], stderr=subprocess.DEVNULL)
        seen = reports.get(timeout=300)
        browser.terminate()
        browser.wait()
    greedy = Decoding(temperature=None, max_tokens=8)
    prompt = "公司 <b>&amp;"
    assert seen["text"] == prompt + writer.write(prompt, greedy).text
    assert seen["chat"][0] == "<img src=x onerror=alert(1)>"
    assert seen["images"] == 0
    assert seen["error"] == ""
    assert writer.run.name in seen["model"]
