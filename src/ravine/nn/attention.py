"""PyTorch's multi-head attention with a dropout of its weights that has a rate and a key per run.

Shapes: B batch, H heads, Q queries, K keys, D numbers of a head, E of an embedding.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ravine.nn.dropout import Dropout


class KeyedAttention(nn.MultiheadAttention):
    """A `torch.nn.MultiheadAttention` whose dropout is a layer of its own, ``weights``.

    It has the same parameters, and in eval mode it is the same module. In training it is written out, so that what is
    dropped can be keyed, and runs trained side by side may differ in the rate.
    """

    weights: Dropout

    @staticmethod
    def of(module: nn.MultiheadAttention) -> nn.MultiheadAttention:
        """The module, changed in place; as it is, if it drops nothing or has keys beside those of its input."""
        if module.bias_k is not None or module.add_zero_attn:
            return module
        module.__class__ = KeyedAttention
        module.weights = Dropout(module.dropout).train(module.training)
        module.dropout = 0.0
        return module

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """As `torch.nn.MultiheadAttention`."""
        if not self.weights.draws:
            return super().forward(
                query, key, value, key_padding_mask, need_weights, attn_mask, average_attn_weights, is_causal
            )
        alone = query.dim() == 2
        dim = 0 if self.batch_first else 1  # of the examples
        q, k, v = ((each.unsqueeze(dim) if alone else each) for each in (query, key, value))
        if not self.batch_first:
            q, k, v = q.transpose(0, 1), k.transpose(0, 1), v.transpose(0, 1)
        scores_BHQK, v_BHKD = self._scores(q, k, v)
        scores_BHQK = _masked(scores_BHQK, attn_mask, key_padding_mask)
        weights_BHQK = self.weights(scores_BHQK.softmax(-1))
        y = self.out_proj((weights_BHQK @ v_BHKD).transpose(1, 2).flatten(2))
        if not self.batch_first:
            y = y.transpose(0, 1)
        shown = weights_BHQK.mean(1) if average_attn_weights else weights_BHQK
        if alone:
            y, shown = y.squeeze(dim), shown.squeeze(0)
        return y, shown if need_weights else None

    def _scores(self, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        if self._qkv_same_embed_dim:
            weights = self.in_proj_weight.chunk(3)
        else:
            weights = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        biases = (None,) * 3 if self.in_proj_bias is None else self.in_proj_bias.chunk(3)
        heads = [
            F.linear(each, weight, bias).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for each, weight, bias in zip((q, k, v), weights, biases, strict=True)
        ]
        return heads[0] @ heads[1].mT / math.sqrt(self.head_dim), heads[2]


def _masked(scores_BHQK: Tensor, mask: Tensor | None, padding: Tensor | None) -> Tensor:
    """Scores with what is not to be looked at at minus infinity: where a mask is true, or by adding it."""
    if mask is not None:
        if mask.dim() == 3:  # one for each example and head
            mask = mask.reshape(scores_BHQK.shape[0], -1, *mask.shape[1:])
        scores_BHQK = _with(scores_BHQK, mask)
    if padding is not None:
        scores_BHQK = _with(scores_BHQK, padding.reshape(scores_BHQK.shape[0], 1, 1, -1))
    return scores_BHQK


def _with(scores: Tensor, mask: Tensor) -> Tensor:
    return torch.where(mask, -math.inf, scores) if mask.dtype == torch.bool else scores + mask
