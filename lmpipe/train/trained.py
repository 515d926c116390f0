"""Open what a run has learnt, whatever its kind: the model of a checkpoint, ready to score."""

import torch
from safetensors.torch import load_file

from lmpipe.train.checkpoint import Checkpoint, load_model
from lmpipe.train.model import LanguageModel, Ngram, build_model
from lmpipe.train.run import MODEL, Run


def open_model(run: Run, checkpoint: Checkpoint, device: torch.device) -> LanguageModel:
    """Build the model of `run` in evaluation mode: with the weights of one of its checkpoints, on `device`, or with its
    counts, which stay on the CPU.

    Raises TrainingError when the weights are those of another model.
    """
    if run.settings.model.kind == "ngram":
        tables = load_file(checkpoint.folder / MODEL)
        return Ngram(tables, run.vocabulary, run.end_of_text).eval()
    model = build_model(run.settings.model, run.vocabulary).to(device).eval()
    load_model(checkpoint, model, device)
    return model
