"""Training that survives a kill: precision, devices, checkpoints, the run folder and `fit`."""
