"""What makes predictions for new examples: members of a pool as modules, with what was done to the raw values."""
