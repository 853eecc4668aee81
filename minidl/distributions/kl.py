"""The Kullback-Leibler divergence between two distributions of one kind."""
from __future__ import annotations

from ..autograd.tensor import Tensor
from ..functional import log
from .bernoulli import Bernoulli
from .categorical import Categorical
from .distribution import Distribution
from .normal import Normal


def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """E_p (log p - log q), of shape batch_shape. NotImplementedError for distributions of two kinds."""
    if isinstance(p, Normal) and isinstance(q, Normal):
        ratio, shift = p.scale / q.scale, (p.loc - q.loc) / q.scale
        return 0.5 * (ratio * ratio + shift * shift - 1) - log(ratio)
    if isinstance(p, Categorical) and isinstance(q, Categorical):
        return (p.probs * (p.logits - q.logits)).sum(-1)
    if isinstance(p, Bernoulli) and isinstance(q, Bernoulli):
        return -q.log_prob(p.probs) - p.entropy()  # log_prob is linear in the value
    raise NotImplementedError(f"kl_divergence: no formula for {type(p).__name__} and {type(q).__name__}")
