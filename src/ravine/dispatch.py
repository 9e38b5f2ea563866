"""The base of everything here that looks at each operation of PyTorch while it is carried out."""

from __future__ import annotations

from torch.utils._python_dispatch import TorchDispatchMode


class OperationMode(TorchDispatchMode):
    """A dispatch mode that leaves PyTorch's compiler alone. A subclass has ``__torch_dispatch__``."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """False: to keep its compiler away from such a mode, PyTorch would first import all of it, for 0.9 s."""
        return False
