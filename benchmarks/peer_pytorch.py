"""The published pipeline on PyTorch, as a Lambda function: ``benchmarks.peer_pytorch.handler``."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F  # noqa: N812  # the conventional name

from benchmarks import peer

torch.set_num_threads(peer.CPUS)
_arrays = peer.weights()
# PyTorch's kernel layouts: (out, in, height, width) for convolutions, (out, in) for dense layers.
_weights = {
    name: torch.from_numpy(array.transpose(3, 2, 0, 1).copy() if array.ndim == 4 else array.T.copy())
    for name, array in _arrays.items()
    if array.ndim
}


def _dense(x: Any, name: str) -> Any:
    return F.linear(x, _weights[f"{name}/kernel"], _weights[f"{name}/bias"])


@torch.inference_mode()  # type: ignore[untyped-decorator]
def _embed(patches: Any) -> Any:
    """Compute VGGish (``vggish_slim.py``), with ReLU after the last layer as in IBM's code."""
    x = torch.from_numpy(patches)[:, None]
    for group in peer.CONVOLUTIONS:
        for name in group:
            x = F.relu(F.conv2d(x, _weights[f"{name}/kernel"], _weights[f"{name}/bias"], padding=1))
        x = F.max_pool2d(x, 2)
    x = x.permute(0, 2, 3, 1).flatten(1)  # height, width, channel
    for name in peer.DENSE:
        x = F.relu(_dense(x, name))
    return x.numpy()


@torch.inference_mode()  # type: ignore[untyped-decorator]
def _classify(codes: Any) -> Any:
    """Compute the multi-level attention classifier (arXiv:1803.02353)."""
    hidden, pooled = [torch.from_numpy(codes)], []
    for index in range(3):
        hidden.append(F.relu(_dense(hidden[-1], f"hidden_{index}")))
    for level, x in enumerate(hidden[2:]):
        scores, attention = _dense(x, f"level_{level}").chunk(2, dim=-1)
        share = attention.softmax(dim=-1).clip(1e-7, 1 - 1e-7)
        share /= share.sum(dim=0, keepdim=True)
        pooled.append((scores.sigmoid() * share).sum(dim=0))
    return torch.sigmoid(_dense(torch.cat(pooled), "output")).numpy()


_pca = _arrays["pca_eigen_vectors"], _arrays["pca_means"]
del _arrays  # the networks hold copies

seconds = peer.seconds
handler = peer.function(_embed, _classify, _pca)
