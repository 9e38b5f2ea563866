"""Networks that have learned elsewhere: where their weights come from, what they are fed, where a new head goes.

What is here knows no PyTorch; `ravine.backbones.assembled` builds the networks.
"""

from ravine.backbones.kinds import scratch, sheet, structure

__all__ = ["scratch", "sheet", "structure"]
