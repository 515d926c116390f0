"""Which tokens a training learns: all of them, or those behind a mark.

A mark is a text that the recipe names, such as the line break between a sentence and its translation, or
"\\nAssistant:"; run.json holds its token ids. Learning begins behind it and ends with the document, or with the mark
that closes; both ends are learnt themselves, or a model would not know when it is done.

Only the row itself is looked at, so what is learnt of a batch is as pure a function of the step as the batch is. Where
a row begins within a document, its first mark tells what that beginning was: one that opens ends a prompt, one that
closes ends a target. A row without any mark is not learnt.

Shape letters: B rows, S context + 1, T context, M tokens of a mark.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from lmpipe.errors import TrainingError
from lmpipe.train.run import Run
from lmpipe.train.stream import TokenStream

LOOKED_AT = 1 << 20
"""Training tokens in which a mark has to be: a wrong one would be found in none of them."""


def targets_of(ids_BS: Tensor, run: Run) -> Tensor | None:
    """Say of each token of the rows, but their first, whether it is learnt: bool, BT; None for all."""
    if run.marks is None:
        return None
    closes_BS = ends_of(ids_BS, (run.end_of_text,))
    if run.marks.until:
        closes_BS |= ends_of(ids_BS, run.marks.until)
    marks_BS = ends_of(ids_BS, run.marks.after).int() - closes_BS.int()
    places_BS = torch.arange(ids_BS.shape[1], device=ids_BS.device).expand_as(ids_BS)
    before_BT = torch.where(marks_BS != 0, places_BS, -1).cummax(1).values[:, :-1]
    ahead_BS = torch.where(marks_BS != 0, places_BS, ids_BS.shape[1] - 1).flip(1).cummin(1).values.flip(1)
    told_BT, foretold_BT = marks_BS.gather(1, before_BT.clamp(min=0)), -marks_BS.gather(1, ahead_BS[:, 1:])
    return torch.where(before_BT >= 0, told_BT, foretold_BT) > 0


def ends_of(ids_BS: Tensor, mark: Sequence[int]) -> Tensor:
    """Find the tokens with which a mark is complete, bool."""
    found_BS = torch.zeros_like(ids_BS, dtype=torch.bool)
    windows_BSM = ids_BS.unfold(1, len(mark), 1)
    found_BS[:, len(mark) - 1 :] = (windows_BSM == torch.tensor(mark, device=ids_BS.device)).all(-1)
    return found_BS


def num_targets(ids_BS: Tensor, run: Run) -> int:
    """Count the tokens of the rows that are learnt."""
    targets_BT = targets_of(ids_BS, run)
    return ids_BS[:, 1:].numel() if targets_BT is None else int(targets_BT.sum())


def check_marks(run: Run, train: TokenStream) -> None:
    """Refuse a mark that is longer than a row, or that the training tokens do not have."""
    if run.marks is None:
        return
    longest = max(len(run.marks.after), len(run.marks.until))
    if longest > run.settings.context:
        raise TrainingError(f"{run.name}: learn_after and learn_until have up to {longest} tokens. Raise context.")
    ids_1S = train.read(0, LOOKED_AT)[None]
    if not ends_of(ids_1S, run.marks.after).any():
        raise TrainingError(
            f"{run.name}: learn_after = {run.settings.learn_after!r} is nowhere in the first {ids_1S.shape[1]} training"
            " tokens, so nothing would be learnt. Give it as the documents have it."
        )
