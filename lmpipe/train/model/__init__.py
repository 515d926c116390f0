"""The models, by their settings."""

from lmpipe.settings import LstmSettings, Model
from lmpipe.train.model.base import LanguageModel, Loss, State
from lmpipe.train.model.lstm import Lstm
from lmpipe.train.model.ngram import Ngram
from lmpipe.train.model.transformer import Transformer

__all__ = ["LanguageModel", "Loss", "Lstm", "Ngram", "State", "Transformer", "build_model"]


def build_model(settings: Model, vocabulary: int) -> LanguageModel:
    """Build a model with fresh weights, drawn from torch's default generator."""
    assert settings.kind != "ngram", "an n-gram model is counted (lmpipe/train/counting.py)"
    if isinstance(settings, LstmSettings):
        return Lstm(settings, vocabulary)
    return Transformer(settings, vocabulary)
