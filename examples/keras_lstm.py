"""The textbook's language model, in Keras, on token shards of lmpipe: Embedding, LSTM, Dense softmax.

    KERAS_BACKEND=torch python examples/keras_lstm.py data/tokens/demo-1a2b3c4d [EPOCHS STEPS]

With KERAS_BACKEND=tensorflow the same batches come through tf.data. Prints the losses of fit, in nats a token.
"""

import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras

from lmpipe.train.adapters import RowSettings, TokenBatches, tf_data


def textbook_model(vocabulary: int, width: int = 64) -> keras.Sequential:
    """Predict the next token at every position of a row."""
    model = keras.Sequential(
        [
            keras.layers.Embedding(vocabulary, width),
            keras.layers.LSTM(width, return_sequences=True),
            keras.layers.Dense(vocabulary, activation="softmax"),
        ]
    )
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
    return model


def for_backend(batches: TokenBatches) -> Any:
    """Wrap the batches as the backend's own kind of dataset."""
    if keras.backend.backend() == "tensorflow":
        return tf_data(batches)
    from torch.utils.data import DataLoader

    return DataLoader(batches, batch_size=None)


def main(folder: Path, epochs: int = 3, steps: int = 50) -> None:
    """Train on the training split."""
    batches = TokenBatches.of(folder, "train", RowSettings(context=32, batch=16), steps=epochs * steps)
    model = textbook_model(batches.vocabulary)
    history = model.fit(for_backend(batches), epochs=epochs, steps_per_epoch=steps, verbose=0)
    for epoch, loss in enumerate(history.history["loss"], start=1):
        print(f"epoch {epoch}: {loss:.4f} nats a token")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
