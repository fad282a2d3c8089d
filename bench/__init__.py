"""``make bench``: what DeepSpace costs, each figure as a ratio to a reference measured in the same run."""
