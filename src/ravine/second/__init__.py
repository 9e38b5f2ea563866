"""Second-order methods: line search, curvature from pairs of gradients, curvature from the exact Hessian."""
