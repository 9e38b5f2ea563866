"""Machine code for tensor programs: lowers a traced graph of one run to loops and products, and has LLVM compile them."""
