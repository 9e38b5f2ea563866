"""What a frozen network makes of a data set, computed once; and the best that a linear head can do with it."""
