"""The driver of the load benchmark: starts the contenders, measures them in turn, compares."""
