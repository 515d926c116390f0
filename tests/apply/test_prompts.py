"""Prompts: headlines and conversations laid out as models are taught, and the examples that do so."""

import importlib.util
import json
import random
from pathlib import Path
from types import ModuleType

import pytest
from apply.runs import SMALL_GPT2, TEXTS, random_run

from lmpipe import launch
from lmpipe.apply.generate import open_model
from lmpipe.apply.prompts import chat_prompt, fill, read_chats
from lmpipe.errors import InputError
from lmpipe.recipe import load_recipe
from lmpipe.tokens.marks import marks_of
from lmpipe.train.run import prepare_run
from tests.conftest import ROOT
from tests.road import walk

CHAT = {
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": " 你好！ "},
        {"role": "assistant", "content": "Hello."},
    ]
}


def example(name: str) -> ModuleType:
    """Load a script of examples/."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", ROOT / "examples" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_templates_take_the_prompt() -> None:
    assert fill("news", "Rain {prompt}") == "Rain {prompt}\n\n"
    assert fill("Q: {prompt} A:", "why?") == "Q: why? A:"
    assert fill(None, "as it is") == "as it is"
    with pytest.raises(InputError, match="template 'newz': expected one of"):
        fill("newz", "x")


def test_a_prompt_is_laid_out_as_conversations_are_taught(tmp_path: Path) -> None:
    (tmp_path / "chats.jsonl").write_text(json.dumps(CHAT) + "\n")
    (taught,) = read_chats(tmp_path / "chats.jsonl")
    assert taught == "System: Be brief.\nUser: 你好！\nAssistant: Hello."
    assert taught.startswith(chat_prompt(CHAT["messages"][:2]))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 1: not JSON"),
        ("[]", r'line 1: expected .*"messages"'),
        ('{"messages": []}', "at least one message"),
        ('{"messages": [{"role": "tool", "content": "x"}]}', "message 0: expected a role of"),
        ('{"messages": [7]}', "message 0"),
    ],
)
def test_what_is_no_conversation_is_named(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "chats.jsonl").write_text(line + "\n")
    with pytest.raises(InputError, match=message):
        list(read_chats(tmp_path / "chats.jsonl"))


def test_the_news_example_writes_a_story_a_headline(tmp_path: Path) -> None:
    found = example("news").stories(random_run(tmp_path, context=128), ["Rain fell", "公司"])
    assert [headline for headline, _ in found] == ["Rain fell", "公司"]
    assert all(story.ids for _, story in found)


@pytest.mark.slow
def test_the_dialogue_example_teaches_a_model_to_answer(tmp_path: Path) -> None:
    source = random_run(tmp_path / "data", SMALL_GPT2, std=0.05)
    draw = random.Random(1)
    questions = [" ".join(draw.choices(TEXTS[0].split() + TEXTS[1].split(), k=6)) for _ in range(300)]
    answer = {"role": "assistant", "content": "Yes, yes."}
    chats = [{"messages": [{"role": "user", "content": question}, answer]} for question in questions]
    (tmp_path / "chats.jsonl").write_text("".join(json.dumps(chat) + "\n" for chat in chats))
    assert example("dialogue").write_documents(tmp_path / "chats.jsonl", tmp_path / "chats" / "documents.jsonl") == 300
    text = (ROOT / "examples" / "dialogue.toml").read_text(encoding="utf-8")
    model = "kind = 'transformer'\nlayers = 2\nwidth = 16\nheads = 2\npreset = 'gpt2'\npositions = 96"
    changes = {
        "../data/runs/gpt2-1a2b3c4d": str(source),
        '"gpt2-1a2b3c4d"': f'"{source.name}"',
        'preset = "gpt2"': model,
    }
    changes |= {
        "context = 256": "context = 48",
        "steps = 200": "steps = 80\nthreads = 1",
        "lr = 5e-5": "lr = 1e-2",
        '"none"': '"none"\n[dedup]\nnear = false',
    }
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "dialogue.toml").write_text(text)
    tokens = walk(tmp_path / "dialogue.toml", tmp_path / "data", 1)[-1]
    recipe = load_recipe(tmp_path / "dialogue.toml")
    training = recipe.train[0]
    run = prepare_run(tokens, training, recipe.name, tmp_path / "data", marks_of(tokens, training))
    launch.start(run)
    assert answer_nats(run, questions[0]) < answer_nats(source, questions[0]) / 2


def answer_nats(run: Path, question: str) -> float:
    """Score the answer that was taught, behind a question."""
    scorer = open_model(run).scorer
    prompt, whole = scorer.encode([fill("dialogue", question), fill("dialogue", question) + " Yes, yes."])
    return float(scorer.score([whole])[0][len(prompt) :].sum())


def test_the_dialogue_recipe_is_one() -> None:
    assert load_recipe(ROOT / "examples" / "dialogue.toml").train[0].init == "gpt2-1a2b3c4d"
