"""Batches of pictures made in machine code: the numbers of each by a traced function, its pixels by loops."""
