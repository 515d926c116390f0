"""Fully sharded training (FSDP2): each process keeps a slice of every weight, gradient and moment.

A block's weights are gathered just before they are used and given back right after, so that memory holds one block
and the slices, and not the model times the number of processes (Rajbhandari et al. 2020, section 5.3, "ZeRO" 3). An
LSTM, which has no blocks, is gathered as a whole; only its gradients and moments stay cut.
Gradients are summed as they are cut into slices again: the step is that of one process, up to float rounding.
A spread weight is a DTensor: arithmetic by element works on its slices as it stands, and what needs a whole
matrix (Muon, a checkpoint) asks for it with `whole`. torch imports its compiler for all this, seconds that other
trainings do not pay: hence the imports inside the functions.
"""

import warnings
from typing import TYPE_CHECKING

from torch import Tensor, nn

from lmpipe.train.model import LanguageModel, Transformer
from lmpipe.train.parallel import Ranks

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor

PLAIN = (Tensor, nn.Parameter)
"""Types of a tensor that lies in one process."""

ENTRANCES = ("loss", "nll_after", "next_logits")
"""Methods of a model that compute with its weights, and before which those have to be gathered."""


def shard(model: LanguageModel, ranks: Ranks) -> None:
    """Spread a model over all processes, block by block, so that a GPU never holds it whole."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method

    # It warns of work in place on a block's output, of which there is none here.
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor")
    mesh = init_device_mesh(ranks.device.type, (ranks.size,))
    blocks = list(model.blocks) if isinstance(model, Transformer) else []
    for part in (*blocks, model):
        # The root too gives its weights back: kept, they would be stale when an average takes their place.
        fully_shard(part, mesh=mesh, reshard_after_forward=True)
        assert isinstance(part, FSDPModule), "fully_shard changes the class of its module"
        part.set_gradient_divide_factor(1.0)  # a sum over processes, not their mean
        part.set_force_sum_reduction_for_comms(True)  # gloo knows no other
    for method in ENTRANCES:
        register_fsdp_forward_method(model, method)


def spread(tensor: Tensor) -> "DTensor | None":
    """Return a tensor that is spread over processes as what it is; None for one that lies in this process."""
    if type(tensor) in PLAIN:
        return None
    from torch.distributed.tensor import DTensor

    assert isinstance(tensor, DTensor), f"expected a tensor or a spread one, found {type(tensor)}"
    return tensor


def whole(tensor: Tensor) -> Tensor:
    """Gather a tensor that is spread over processes, all of which must ask for it; give back any other as it is."""
    found = spread(tensor)
    return tensor if found is None else found.full_tensor()


def slice_of(tensor: Tensor) -> Tensor:
    """Return this process's slice of a tensor that is spread over processes, in place; any other as it is."""
    found = spread(tensor)
    return tensor if found is None else found.to_local()


def spread_like(tensor: Tensor, other: Tensor) -> Tensor:
    """Cut a tensor that every process has whole as `other` is cut; where that is whole, so stays this."""
    found = spread(other)
    if found is None:
        return tensor
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(tensor, found.device_mesh, found.placements, src_data_rank=None)
