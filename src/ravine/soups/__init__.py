"""Weights of several runs averaged into one network, where no barrier lies between them."""
