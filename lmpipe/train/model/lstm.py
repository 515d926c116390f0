"""An LSTM language model, from Zaremba et al. (2014) to the AWD-LSTM of Merity et al. (2018).

The state starts at zero in each row, or goes on from the row's last piece, and is carried over document
boundaries within it: the end-of-text token is there to be learnt as a reset. Embeddings are scaled by
sqrt(width) on their way in (Vaswani et al. 2017, section 3.4): a matrix small enough for the output is too
small for the input (2 layers of 256 after 160 steps of the demo: 5.8 nats a token against 7.1 without).

Shape letters: B rows, T positions, W width, V vocabulary.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from lmpipe.settings import LstmSettings
from lmpipe.train.model.base import LanguageModel, State

Cells = tuple[Tensor, Tensor]
"""h and c of a layer, shape (B, W) each."""


class Layer(nn.Module):
    """The weights of one layer, as torch's own LSTM names and orders them: input, forget, cell, output gates."""

    def __init__(self, before: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.weight_ih = nn.Parameter(torch.empty(4 * width, before))
        self.weight_hh = nn.Parameter(torch.empty(4 * width, width))
        self.bias_ih = nn.Parameter(torch.empty(4 * width))
        self.bias_hh = nn.Parameter(torch.empty(4 * width))

    def forward(self, x_BTW: Tensor, before: Cells, weight_drop: float) -> tuple[Tensor, Cells]:
        """Run over all positions, in training without a share of the recurrent weights."""
        recurrent = nn.functional.dropout(self.weight_hh, weight_drop, self.training)
        weights = [w.to(x_BTW.dtype) for w in (self.weight_ih, recurrent, self.bias_ih, self.bias_hh)]
        start = [cells.to(x_BTW.dtype)[None] for cells in before]
        y_BTW, h_1BW, c_1BW = torch.lstm(x_BTW, start, weights, True, 1, 0.0, self.training, False, True)
        return y_BTW, (h_1BW[0], c_1BW[0])


class Lstm(LanguageModel):
    """Embedding, stacked LSTM layers, output, with dropout in the places that the settings name."""

    def __init__(self, settings: LstmSettings, vocabulary: int) -> None:
        super().__init__()
        self.settings = settings
        inner = settings.embedding or settings.width
        widths = [inner, *[settings.width] * (settings.layers - 1), inner if settings.tied else settings.width]
        self.embedding = nn.Embedding(vocabulary, inner)
        self.layers = [Layer(*pair) for pair in pairwise(widths)]
        for number, layer in enumerate(self.layers):
            self.add_module(f"layer_{number}", layer)
        self.head_VW = self.embedding.weight if settings.tied else nn.Parameter(torch.empty(vocabulary, widths[-1]))
        self.initialise()

    @torch.no_grad()
    def initialise(self) -> None:
        """Small uniform matrices (Zaremba et al. 2014, section 4.1); forget gates open (Jozefowicz et al. 2015)."""
        for matrix in dict.fromkeys((self.embedding.weight, self.head_VW)):  # one and the same when tied
            matrix.uniform_(-0.05, 0.05)
        for layer in self.layers:
            for weight in layer.parameters():
                weight.uniform_(-(layer.width**-0.5), layer.width**-0.5)
            layer.bias_ih[layer.width : 2 * layer.width].fill_(1.0)

    def hidden(
        self, ids_BT: Tensor, documents_BT: Tensor | None = None, state: State | None = None
    ) -> tuple[Tensor, State]:
        """Compute x_BTW and the state after it; the document numbers are not used (see the module)."""
        settings, x_BTW = self.settings, self.embedded(ids_BT)
        output = settings.dropout if settings.dropout_output is None else settings.dropout_output
        before, after = state if state is not None else self.begin(len(ids_BT)), []
        for number, layer in enumerate(self.layers):
            x_BTW, cells = layer(x_BTW, before[number], settings.weight_drop)
            after.append(cells)
            last = number == len(self.layers) - 1
            x_BTW = self.drop(x_BTW, output if last else settings.dropout)
        return x_BTW, after

    def begin(self, rows: int) -> State:
        """Return zeros: (h, c) of shape (B, W) for each layer."""
        return [(torch.zeros(rows, layer.width, device=self.head_VW.device),) * 2 for layer in self.layers]

    def embedded(self, ids_BT: Tensor) -> Tensor:
        """Embed ids; in training some words are left out of the whole batch, and inputs are dropped."""
        settings, share = self.settings, self.settings.dropout_embedding
        x_BTW: Tensor = (self.embedding(ids_BT) * self.embedding.embedding_dim**0.5).to(self.precision)
        if self.training and share:
            keep_V = x_BTW.new_empty(self.embedding.num_embeddings).bernoulli_(1 - share).div_(1 - share)
            x_BTW = x_BTW * keep_V[ids_BT][..., None]
        return self.drop(x_BTW, settings.dropout if settings.dropout_input is None else settings.dropout_input)

    def drop(self, x_BTW: Tensor, share: float) -> Tensor:
        """Drop a share of values: each by itself, or the same ones at all positions of a row."""
        if not self.training or not share:
            return x_BTW
        if not self.settings.locked:
            return nn.functional.dropout(x_BTW, share)
        keep_B1W = x_BTW.new_empty(len(x_BTW), 1, x_BTW.shape[2]).bernoulli_(1 - share).div_(1 - share)
        return x_BTW * keep_B1W

    def penalty(self, x_BTW: Tensor) -> Tensor | None:
        """AR and TAR (Merity et al. 2018, section 4.5), per position.

        Both fall on the dropped-out outputs; the paper's TAR on undropped ones, which under one mask for all positions
        of a row is the same in expectation up to a factor.
        """
        settings = self.settings
        if not self.training or not (settings.activation_penalty or settings.slowness_penalty):
            return None
        size = settings.activation_penalty * x_BTW.square().mean()
        if x_BTW.shape[1] > 1:
            size = size + settings.slowness_penalty * x_BTW.diff(dim=1).square().mean()
        return size
