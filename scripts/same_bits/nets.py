"""Modules of a user's own: one that every backend serves, one that draws numbers, one that branches on them."""

import torch
from torch import nn


class Attention(nn.Module):
    """Attention over the 13 measurements of wine, with a buffer, tied weights and an operation in place."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.embed = nn.Linear(1, width)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 3)
        self.register_buffer("place", torch.linspace(-1.0, 1.0, 13)[:, None])

    def forward(self, x):
        h = self.embed(x[:, :, None]) + self.place
        weights = torch.softmax(self.query(h) @ self.key(h).transpose(1, 2) / 3.0, -1)
        h = self.norm(weights @ h)
        h.relu_()
        return self.head(h.mean(1))


class Noisy(nn.Module):
    """Adds noise that it draws by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(13, 16), nn.Tanh(), nn.Dropout(0.3), nn.Linear(16, 3))

    def forward(self, x):
        return self.layers(x + 0.1 * torch.randn_like(x) if self.training else x)


class Branching(nn.Module):
    """Takes one of two ways, by the numbers that flow through it."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = nn.Linear(13, 3), nn.Linear(13, 3)

    def forward(self, x):
        return self.one(x) if bool(x.sum() > 0) else self.other(x)
