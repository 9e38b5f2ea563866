"""Machine code for tensor programs: a traced graph becomes loops and products, and LLVM compiles them."""
