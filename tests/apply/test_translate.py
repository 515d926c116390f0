"""Translation: the search is a plain beam search, whatever stands beside a sentence; scores are sacreBLEU's."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from sacrebleu.metrics.bleu import BLEU
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from lmpipe.apply import translate as module
from lmpipe.apply.beam import Beam, ranked, search
from lmpipe.apply.bleu import corpus_bleu, rerank, score_texts, score_translations, sentence_statistics, tune_bleu
from lmpipe.apply.generate import open_model
from lmpipe.apply.heldout_pairs import parted
from lmpipe.apply.nbest import NBest
from lmpipe.apply.translate import TranslateSettings, prompt_of, race_of, translate, translate_file
from lmpipe.dataset import Execution, Manifest
from lmpipe.errors import InputError
from lmpipe.settings import Model
from lmpipe.train.model import LanguageModel
from lmpipe.train.run import load_run
from tests.evaluate.test_perplexity import scored_run
from tests.train.token_dataset import END_OF_TEXT, LSTM, NO_TEXT, TRANSFORMER

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ .,!\n1"


def letters_run(tmp_path: Path, model: Model = TRANSFORMER, std: float = 0.3) -> tuple[Path, LanguageModel]:
    """A run of random weights whose tokens are letters."""
    run, built = scored_run(tmp_path, model, std)
    tokenizer = Tokenizer(
        models.WordLevel({letter: i for i, letter in enumerate(LETTERS)} | {"<eot>": END_OF_TEXT}, unk_token="a")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens(["<eot>"])
    path = load_run(run).paths("tokenizer")[0]
    body = tokenizer.to_str()
    path.unlink()
    path.write_text(body)
    rewritten = (run / "run.json").read_text().replace(f'"bytes": {len(NO_TEXT)},', f'"bytes": {len(body.encode())},')
    (run / "run.json").write_text(rewritten)
    return run, built


@torch.no_grad()
def plain_search(model: LanguageModel, prompt: list[int], limit: int, settings: TranslateSettings) -> list[Beam]:
    """Beam search without batches, states or pruning of candidates."""
    live: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
    finished: list[Beam] = []
    for step in range(1, limit + 1):
        grown: list[tuple[float, tuple[int, ...]]] = []
        for log_p, ids in live:
            log_p_V = model(torch.tensor([[*prompt, *ids]]))[0, -1].double().log_softmax(-1)
            grown += [(log_p + value, (*ids, token)) for token, value in enumerate(log_p_V.tolist())]
        grown.sort(key=lambda pair: -pair[0])
        for log_p, ids in grown[: settings.beams]:
            if ids[-1] == END_OF_TEXT or step == limit:
                finished.append(Beam(log_p, ids))
        finished = sorted(finished, key=lambda beam: -score_of(beam, settings))[: settings.beams]
        live = [pair for pair in grown if pair[1][-1] != END_OF_TEXT][: settings.beams]
    return finished


def score_of(beam: Beam, settings: TranslateSettings) -> float:
    return beam.log_p / ((5 + len(beam.ids)) / 6) ** settings.penalty


@pytest.mark.parametrize("model", [LSTM, TRANSFORMER])
def test_sentences_side_by_side_are_searched_as_each_by_itself(tmp_path: Path, model: Model) -> None:
    run, built = letters_run(tmp_path, model, 0.5)
    writer, settings = open_model(run), TranslateSettings(beams=3, penalty=0.8)
    prompts = [[END_OF_TEXT, 5, 9, 2], [END_OF_TEXT, 3, 3], [END_OF_TEXT, 59, 1, 40]]
    decoder = writer.decoder(9, 11)
    found = search(decoder, decoder.start(prompts), prompts, race_of(settings, 7), END_OF_TEXT)
    for prompt, beams in zip(prompts, found, strict=True):
        wanted = plain_search(built, prompt, 7, settings)
        assert [beam.ids for beam in beams] == [beam.ids for beam in wanted]
        np.testing.assert_allclose([beam.log_p for beam in beams], [beam.log_p for beam in wanted], atol=1e-4)
        for beam in beams:
            assert -sum(beam.nats) == pytest.approx(beam.log_p)


def test_a_length_penalty_lets_longer_texts_win() -> None:
    short, long = Beam(-2.0, (1, 2)), Beam(-2.6, (1, 2, 3, 4, 5))
    plain, divided = (race_of(TranslateSettings(penalty=penalty), 9) for penalty in (0.0, 1.0))
    assert ranked(short, plain) > ranked(long, plain)
    assert ranked(short, divided) < ranked(long, divided)


def test_translations_come_in_the_order_of_the_sentences(tmp_path: Path) -> None:
    run, _ = letters_run(tmp_path)
    writer = open_model(run)
    settings = TranslateSettings(beams=2, batch=2)
    sentences = ["abc", "b", "cab", "xyz", "b c"]
    together = translate(writer, sentences, settings)
    for sentence, beams in zip(sentences, together, strict=True):
        (alone,) = translate(writer, [sentence], settings)
        assert [beam.ids for beam in beams] == [beam.ids for beam in alone]


def test_a_sentence_longer_than_the_context_is_refused(tmp_path: Path) -> None:
    run, _ = letters_run(tmp_path)
    with pytest.raises(InputError, match="a prompt of 42 tokens"):
        translate(open_model(run), ["abcd" * 10], TranslateSettings())


def test_a_file_is_translated_in_units_and_scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, _ = letters_run(tmp_path, LSTM)
    monkeypatch.setattr(module, "UNIT_SENTENCES", 2)
    made = translated(run, ["abc", "b", "cab"], tmp_path)
    rows = pq.read_table(made.paths("translations")).to_pylist()
    assert made.counts["sentences"] == 3
    assert [row["sentence"] for row in rows if row["rank"] == 1] == [0, 1, 2]
    assert all(row["score"] <= 0 and row["tokens"] > 0 for row in rows)
    scored = score_translations(made, "en", tmp_path, Execution())
    scores = {row["metric"]: row for row in pq.read_table(scored.paths("translation-scores")).to_pylist()}
    assert set(scores) == {"BLEU", "chrF2"}
    assert "tok:13a" in scores["BLEU"]["signature"]
    assert translated(run, ["abc", "b", "cab"], tmp_path).fingerprint == made.fingerprint


def test_the_best_weights_translate_when_they_are_asked_for(tmp_path: Path) -> None:
    run, _ = letters_run(tmp_path, LSTM)
    (first,) = (run / "checkpoints").glob("step-*")
    later = shutil.copytree(first, first.with_name("step-00000099"))
    body = json.loads((later / "checkpoint.json").read_text())
    body["progress"]["step"] = 99
    (later / "checkpoint.json").write_text(json.dumps(body))
    (run / "checkpoints" / "best").write_text(f"{first.name}\n")
    steps = {
        which: translated(run, ["abc"], tmp_path, checkpoint=which).settings["step"] for which in ("latest", "best")
    }
    assert steps == {"latest": 99, "best": int(first.name.removeprefix("step-"))}


def translated(run: Path, sentences: list[str], data: Path, **changes: Any) -> Manifest:
    settings = TranslateSettings(beams=2, **changes)
    return translate_file(run, sentences, ["x y"] * len(sentences), settings, "small", [], data, Execution())


def test_weights_are_not_tuned_on_the_set_that_is_tested(tmp_path: Path) -> None:
    run, _ = letters_run(tmp_path, LSTM)
    tested, dev = translated(run, ["abc", "b"], tmp_path), translated(run, ["ca", "d"], tmp_path)
    with pytest.raises(InputError, match="cannot be tuned on the set that is tested"):
        rerank(tested, tested, run, "en", {"model": [0.0]}, tmp_path, Execution())
    made = rerank(tested, dev, run, "en", {"model": [0.0, 0.5], "words": [0.0, 1.0]}, tmp_path, Execution())
    systems = [row["system"] for row in pq.read_table(made.paths("translation-scores")).to_pylist()]
    assert systems == ["first", "first", "tuned", "tuned", "oracle", "oracle"]


def test_scores_are_sacrebleus_with_its_signature() -> None:
    texts = ["ein hund läuft schnell weg", "zwei männer sitzen dort drüben"]
    references = ["ein hund läuft sehr schnell weg", "zwei männer sitzen dort drüben"]
    bleu, chrf = score_texts(texts, references, "de")
    assert bleu.score == BLEU().corpus_score(texts, [references]).score
    assert bleu.low <= bleu.score <= bleu.high + 1e-9
    assert "bs:1000" in bleu.signature
    assert chrf.metric == "chrF2"
    (chinese, _) = score_texts(["他在家里看书呢"], ["他在家里看书"], "zh")
    assert "tok:zh" in chinese.signature
    assert chinese.score > 50, "Chinese is compared by characters"


def test_summed_statistics_of_sentences_give_the_bleu_of_the_set() -> None:
    texts = ["ein hund läuft schnell weg", "zwei männer sitzen hier", "ja"]
    references = ["ein hund läuft sehr schnell weg", "zwei männer sitzen dort drüben", "ja genau"]
    lists = [
        NBest(utterance=str(n), texts=[text], scores={}, reference=reference)
        for n, (text, reference) in enumerate(zip(texts, references, strict=True))
    ]
    sums = np.sum([sentence_statistics(nbest, "de")[0] for nbest in lists], axis=0)
    assert math.isclose(corpus_bleu(sums), BLEU().corpus_score(texts, [references]).score, rel_tol=1e-9)


def test_tuning_finds_the_weight_that_raises_bleu() -> None:
    scores = {"translation": np.array([-1.0, -1.5]), "model": np.array([-9.0, -7.0])}
    texts = ["a hund runs quickly", "ein hund läuft schnell weg"]
    nbest = NBest(utterance="0", texts=texts, scores=scores, reference="ein hund läuft schnell weg")
    weights = tune_bleu([nbest], "de", {"translation": 1.0}, {"model": [0.0, 0.1, 0.5]})
    assert weights == {"translation": 1.0, "model": 0.5}


def test_a_held_out_document_is_cut_where_its_prompt_ends() -> None:
    assert parted("[de] a b\nc", "[de] {source}\n{target}", "x") == ("a b", "c")
    with pytest.raises(InputError, match="document x: expected"):
        parted("a b c", "{source}\n{target}", "x")


def test_a_prompt_is_what_stands_before_the_target() -> None:
    assert prompt_of(" a  dog ", TranslateSettings(prompt="en: {source}\nde: {target}")) == "en: a dog\nde: "
