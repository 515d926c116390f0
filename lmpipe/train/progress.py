"""How far a training has come: numbers that a checkpoint keeps, so that a resumed training decides alike."""

from dataclasses import dataclass, field


@dataclass(slots=True, kw_only=True)
class Progress:
    """Written into checkpoint.json as it is."""

    step: int = 0
    """Optimizer steps done, those that were passed over included."""
    seconds: float = 0.0
    """Wall time of training, over all its sessions."""
    skipped: int = 0
    """Steps passed over in a row, up to now, because loss or gradient were not finite."""
    valid_step: int = 0
    """Step of the newest validation."""
    valid_losses: list[float] = field(default_factory=list)
    """Of all validations, in order; nats per token, the largest float for what was not finite."""
    averaged_since: int | None = None
    """asgd: the step after which averaging began."""
    micro_batch: int | None = None
    """Rows at once that were found to fit into memory; None where all do."""

    @property
    def best(self) -> bool:
        """Say whether these very weights have been validated, and are the best so far."""
        return self.valid_step == self.step > 0 and self.valid_losses[-1] == min(self.valid_losses)

    def stalled(self, behind: int) -> bool:
        """Say whether the newest validation is no better than the best of those before the last `behind`
        (Merity et al. 2018, algorithm 1)."""
        earlier = self.valid_losses[: -behind - 1]
        return bool(earlier) and self.valid_losses[-1] > min(earlier)

    def num_since_best(self) -> int:
        """Count the validations since the best one."""
        return len(self.valid_losses) - 1 - self.valid_losses.index(min(self.valid_losses)) if self.valid_losses else 0
