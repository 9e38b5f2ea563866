"""Training a cohort by a list of tensor operations that was traced once: the backends "fused" and "serial"."""
