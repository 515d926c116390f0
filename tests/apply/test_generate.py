"""Generation: what a plain loop over the whole text would write, whatever the cache, the batch and the stream."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from apply.runs import LSTM, SMALL_GPT2, TRANSFORMER, counted_run, random_run
from safetensors.torch import load_file, save_file

from lmpipe.apply.decoding import Decoding, distribution, penalise
from lmpipe.apply.generate import Writer, open_model
from lmpipe.apply.text import GrowingText
from lmpipe.errors import InputError, LmpipeError, TrainingError
from lmpipe.settings import Model
from lmpipe.storage import file_sha256

GREEDY = Decoding(temperature=None, max_tokens=20)


@torch.no_grad()
def plain_greedy(writer: Writer, prompt: list[int], length: int) -> list[int]:
    """Run the whole text through the model for every token."""
    ids = list(prompt)
    for _ in range(length):
        ids.append(int(writer.model(torch.tensor([ids]))[0, -1].argmax()))
        if ids[-1] == writer.run.end_of_text:
            break
    return ids[len(prompt) :]


@pytest.mark.parametrize("model", [LSTM, TRANSFORMER, SMALL_GPT2])
def test_greedy_writes_what_the_uncached_loop_writes(tmp_path: Path, model: Model) -> None:
    writer = open_model(random_run(tmp_path, model))
    prompts = [writer.encode(text) for text in ("The ship", "公司", "", "Rain fell on")]
    for prompt, written in zip(prompts, writer.write_all(prompts, GREEDY), strict=True):
        assert list(written.ids) == plain_greedy(writer, prompt, 20)
        assert list(writer.write_all([prompt], GREEDY)[0].ids) == list(written.ids)


@pytest.mark.parametrize("make", [random_run, counted_run])
def test_nats_are_those_of_scoring_the_text(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    writer = open_model(make(tmp_path))
    written = writer.write("The ship", GREEDY)
    ids = [*writer.encode("The ship")[1:], *written.ids]
    assert written.nats == pytest.approx(writer.scorer.score([ids])[0][-len(written.ids) :].tolist(), abs=1e-4)


def test_a_prompt_draws_the_same_alone_and_in_a_batch(tmp_path: Path) -> None:
    writer = open_model(random_run(tmp_path, std=0.1))
    prompts = [writer.encode(text) for text in ("The ship", "公司", "A")]
    drawing = Decoding(max_tokens=15, top_p=0.95, seed=3)
    together = writer.write_all(prompts, drawing)
    alone = [writer.write_all([prompt], drawing, number)[0] for number, prompt in enumerate(prompts)]
    assert [written.ids for written in together] == [written.ids for written in alone]
    assert together[0].ids != writer.write_all(prompts, Decoding(max_tokens=15, top_p=0.95, seed=4))[0].ids


def test_an_ngram_model_writes_on_alone_in_a_batch_and_by_beam(tmp_path: Path) -> None:
    writer = open_model(counted_run(tmp_path))
    prompts = [writer.encode(text) for text in ("The ship sailed", "Rain fell", "公司")]
    together = writer.write_all(prompts, GREEDY)
    assert [written.ids for written in together] == [writer.write_all([p], GREEDY)[0].ids for p in prompts]
    assert [list(written.ids) for written in together] == [plain_greedy(writer, prompt, 20) for prompt in prompts]
    assert together[0].text.startswith(" at dawn")
    best = writer.write("The ship sailed", replace(GREEDY, beams=3))
    ids = [*prompts[0][1:], *best.ids]
    assert best.nats == pytest.approx(writer.scorer.score([ids])[0][-len(best.ids) :].tolist(), abs=1e-9)


def test_rows_that_ended_leave_the_others_as_they_are(tmp_path: Path) -> None:
    writer = open_model(random_run(tmp_path, std=0.1))
    prompts = [writer.encode(text) for text in ("The ship", "公司", "A", "Rain")]
    drawing = Decoding(max_tokens=15)
    alone = [writer.write_all([prompt], drawing, number)[0] for number, prompt in enumerate(prompts)]
    stop = alone[1].text[3:5]
    together = writer.write_all(prompts, replace(drawing, stop=(stop,)))
    assert [cut.text for cut in together] == [whole.text.split(stop)[0] for whole in alone]
    assert together[1].ending == "stop"
    assert len(together[1].ids) < len(alone[1].ids) == 15


LOGITS = torch.tensor([[2.0, 1.0, 0.0, -1.0, -2.0]])


@pytest.mark.parametrize(
    ("decoding", "left"),
    [
        (Decoding(), [0, 1, 2, 3, 4]),
        (Decoding(top_k=2), [0, 1]),
        (Decoding(top_p=0.6), [0]),
        (Decoding(top_p=0.7), [0, 1]),
        (Decoding(min_p=0.1), [0, 1, 2]),
        (Decoding(top_k=3, top_p=0.9, min_p=0.3), [0, 1]),
        (Decoding(temperature=0.1, min_p=0.01), [0]),
    ],
)
def test_filters_leave_the_tokens_that_they_name(decoding: Decoding, left: list[int]) -> None:
    p_BV = distribution(LOGITS, decoding)
    assert p_BV[0].nonzero().flatten().tolist() == left
    assert float(p_BV.sum()) == pytest.approx(1)


def test_repetition_penalty_falls_once_on_either_sign() -> None:
    assert penalise(LOGITS, [[0, 0, 4]], 2.0)[0].tolist() == [1.0, 1.0, 0.0, -1.0, -4.0]


@torch.no_grad()
def best_by_brute_force(writer: Writer, prompt: list[int], penalty: float) -> tuple[int, ...]:
    """Score every continuation of at most two tokens."""
    end = writer.run.end_of_text
    first_V = writer.model(torch.tensor([prompt]))[0, -1].double().log_softmax(-1)
    size = len(first_V)
    texts = torch.tensor([[*prompt, token] for token in range(size)])
    both_VV = first_V[:, None] + writer.model(texts)[:, -1].double().log_softmax(-1)
    both_VV[end] = -math.inf  # nothing follows the end
    found = {(i, j): float(both_VV[i, j]) / 2**penalty for i in range(size) for j in range(size)}
    scores: dict[tuple[int, ...], float] = {**found, (end,): float(first_V[end])}
    return max(scores, key=lambda ids: scores[ids])


@pytest.mark.parametrize("penalty", [0.0, 1.0])
def test_beam_search_finds_the_most_probable_when_it_is_wide(tmp_path: Path, penalty: float) -> None:
    writer = open_model(random_run(tmp_path, std=0.4))
    prompt = writer.encode("The")
    decoding = Decoding(beams=300, max_tokens=2, length_penalty=penalty)
    assert writer.write_all([prompt], decoding)[0].ids == best_by_brute_force(writer, prompt, penalty)


def test_beam_search_of_texts_side_by_side_is_that_of_each_alone(tmp_path: Path) -> None:
    writer = open_model(random_run(tmp_path, std=0.4))
    prompts = [writer.encode(text) for text in ("The ship", "公司", "A quiet morning: the baker")]
    decoding = Decoding(beams=3, max_tokens=12, repetition_penalty=1.1, stop=("e",))
    for prompt, found in zip(prompts, writer.write_all(prompts, decoding), strict=True):
        (alone,) = writer.write_all([prompt], decoding)
        assert (found.ids, found.text, found.ending) == (alone.ids, alone.text, alone.ending)
        assert found.nats == pytest.approx(alone.nats, abs=1e-4)


def of_bytes(ids: Sequence[int]) -> str:
    return bytes(ids).decode("utf-8", "replace")


def test_a_chinese_character_is_never_shown_in_parts() -> None:
    raw = "公司 said 好。é𠮷".encode()
    text = GrowingText(of_bytes)
    pieces = [text.push(byte) for byte in raw]
    assert "".join(pieces) == "公司 said 好。é𠮷"
    assert all("\ufffd" not in piece for piece in pieces)


def test_broken_bytes_are_shown_at_last() -> None:
    text = GrowingText(of_bytes)
    shown = "".join(text.push(byte) for byte in b"ab\xe5\xe5") + text.finish()
    assert shown == "ab\ufffd\ufffd" == text.text


def test_nothing_of_a_stop_sequence_is_shown_before_it_is_known_not_to_be_one() -> None:
    text = GrowingText(of_bytes, ("\n\nQ:", "###"))
    shown = []
    for byte in b"one\n\nQ? ##\n\nQ: more":
        shown.append(text.push(byte))
        if text.stopped:
            break
    assert "".join(shown) == text.text == "one\n\nQ? ##"
    assert shown[3:6] == ["", "", ""]


BAD: list[tuple[Decoding, str, str]] = [
    (Decoding(max_tokens=64), "The ship", "more than the model's context of 64"),
    (Decoding(temperature=-1.0), "A", "temperature: -1.0 is out of range"),
    (Decoding(top_p=1.5), "A", "top_p: 1.5"),
    (Decoding(stop=("",)), "A", "stop"),
    (Decoding(beams=0), "A", "beams"),
]


@pytest.mark.parametrize(("decoding", "prompt", "message"), BAD)
def test_what_cannot_be_done_is_refused_with_its_reason(
    tmp_path: Path, decoding: Decoding, prompt: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        open_model(random_run(tmp_path)).write(prompt, decoding)


def test_prompts_without_tokens_or_with_foreign_ones_are_refused(tmp_path: Path) -> None:
    writer = open_model(random_run(tmp_path))
    with pytest.raises(InputError, match="prompt 1: expected at least one token"):
        writer.write_all([[1], []], GREEDY)
    with pytest.raises(InputError, match="token 300 is not in the model's vocabulary of 300"):
        writer.write_all([[300]], GREEDY)


def test_a_context_beyond_learned_positions_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="96 learned positions"):
        open_model(random_run(tmp_path, SMALL_GPT2), context=97)


def damage(run: Path, value: float) -> None:
    """Put a value into the weights, and let the checkpoint vouch for it."""
    (folder,) = (run / "checkpoints").glob("step-*")
    weights = load_file(folder / "model.safetensors")
    weights["head_VW"][:] = value  # the embedding too: they are tied
    before = file_sha256(folder / "model.safetensors")
    save_file(weights, folder / "model.safetensors")
    record = folder / "checkpoint.json"
    record.write_text(record.read_text().replace(before, file_sha256(folder / "model.safetensors")))


def test_weights_that_are_not_numbers_are_refused(tmp_path: Path) -> None:
    run = random_run(tmp_path)
    damage(run, math.nan)
    with pytest.raises(TrainingError, match="expected finite logits"):
        open_model(run).write("A", GREEDY)


def half_a_checkpoint(run: Path) -> None:
    for path in run.glob("checkpoints/step-*/model.safetensors"):
        path.write_bytes(path.read_bytes()[:-100])


def another_tokenizer(run: Path) -> None:
    path = run / "data" / "tokenizer.json"
    size = path.stat().st_size
    text = path.read_text(encoding="utf-8").replace('"!":', '"!!!!":', 1)
    text = text.replace('": 0,', '": 555,', 1) if '": 0,' in text else text.replace('":0,', '":555,', 1)
    path.unlink()
    path.write_text(text + " " * (size - len(text.encode())), encoding="utf-8")
    body = (run / "run.json").read_text().replace(f'"bytes": {size}', f'"bytes": {path.stat().st_size}')
    (run / "run.json").write_text(body)


@pytest.mark.parametrize(
    ("harm", "message"),
    [(half_a_checkpoint, "no usable checkpoint"), (another_tokenizer, "a tokenizer of 556 tokens, but the model has")],
)
def test_a_broken_run_gets_one_clear_error(tmp_path: Path, harm: Callable[[Path], None], message: str) -> None:
    run = random_run(tmp_path)
    harm(run)
    with pytest.raises(LmpipeError, match=message):
        open_model(run)
