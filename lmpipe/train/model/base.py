"""What every language model of lmpipe offers: logits of all positions, and negative log-likelihoods.

Shape letters: B rows, T positions, W width, V vocabulary.
"""

from torch import Tensor, nn

from lmpipe.train.model import head


class LanguageModel(nn.Module):
    """A causal language model: position t sees ids 0 ... t of its row and predicts id t + 1."""

    head_VW: Tensor
    """The output matrix; the embedding's own where weights are tied."""
    cap: float | None = None
    """Largest absolute logit, or None."""

    def hidden(self, ids_BT: Tensor, documents_BT: Tensor | None = None) -> Tensor:
        """Compute the vectors x_BTW from which the next token is predicted.

        `documents_BT` numbers the documents of packed rows (batches.documents_of); a model that can keep
        documents apart does so, and None means that each row is one document.
        """
        raise NotImplementedError

    def forward(self, ids_BT: Tensor, documents_BT: Tensor | None = None) -> Tensor:
        """Compute logits_BTV."""
        return head.logits(self.hidden(ids_BT, documents_BT), self.head_VW, self.cap)

    def nll(self, ids_BT: Tensor, targets_BT: Tensor, documents_BT: Tensor | None = None) -> Tensor:
        """Compute -log p(target) of each position in nats, float32, shape BT; for scoring, not for training."""
        x_BTW = self.hidden(ids_BT, documents_BT)
        return head.token_nll(x_BTW.flatten(0, 1), self.head_VW, targets_BT.flatten(), self.cap).view_as(targets_BT)

    def loss(self, ids_BT: Tensor, targets_BT: Tensor, documents_BT: Tensor | None = None) -> Tensor:
        """Sum -log p(target) over all positions in nats, float64, differentiable: the training loss."""
        x_BTW = self.hidden(ids_BT, documents_BT)
        return head.summed_nll(x_BTW.flatten(0, 1), self.head_VW, targets_BT.flatten(), self.cap)
