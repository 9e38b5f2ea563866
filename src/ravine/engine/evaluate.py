"""Outputs of all runs on a split, chunk by chunk.

Shapes: R run, N example, K output.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.func import vmap

from ravine.engine.aligned import AlignedProducts
from ravine.engine.network import Network
from ravine.engine.objective import channels_last
from ravine.nn.functional import batched_kernels

# Examples times runs in one pass: bounds the memory of activations. Pictures have many more of them.
_CHUNK, _PICTURE_CHUNK = 1 << 16, 512


def outputs_of(
    network: Network, params_RP: Tensor, others: Mapping[str, Tensor], x: Tensor, *, fused: bool
) -> Tensor:
    """Outputs in eval mode: (R, N, K).

    Args:
        network: its template is put into eval mode for the passes.
        params_RP: the runs' parameters.
        others: every other tensor of the model, (R, ...) by name.
        x: (N, ...) inputs.
        fused: all runs at once under vmap.
    """
    num_runs = params_RP.shape[0]
    limit = _PICTURE_CHUNK if x.dim() == 4 and x.device.type == "cpu" else _CHUNK
    size = max(64, limit // num_runs // 16 * 16)  # cuts between rows at which kernels begin anew
    if x.dim() == 4 and not fused:
        x = x.clone(memory_format=torch.channels_last)  # as in training
    tensors = {**network.layout.views(params_RP), **others}
    one = channels_last({name: tensor[0] for name, tensor in tensors.items()})

    def forward(tensors: Mapping[str, Tensor], x: Tensor) -> Tensor:
        return network.pure(tensors, {}, x.clone())[0]  # a module may change its input in place

    network.module.eval()
    try:
        with torch.no_grad(), batched_kernels(), AlignedProducts():
            if fused:
                chunks = [vmap(forward, in_dims=(0, None))(tensors, part) for part in x.split(size)]
            else:
                chunks = [forward(one, part)[None] for part in x.split(size)]
            return torch.cat(chunks, 1)
    finally:
        network.module.train()
