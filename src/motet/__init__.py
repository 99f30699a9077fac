"""motet: multi-task learning on PyTorch."""
