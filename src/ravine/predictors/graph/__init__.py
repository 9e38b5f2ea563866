"""One ONNX graph from raw columns to probabilities: written, checked, and used in place of a user's module."""
