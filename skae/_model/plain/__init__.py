"""A fitted model outside skae: the same computation, of torch's own layers and few small ones."""
