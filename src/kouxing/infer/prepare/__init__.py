"""Footage -> a data set that ``train`` and ``evaluate`` read (methods.md section 4, Data), step by step.

Each step turns one table into the next (``prepare/1-media.csv`` .. ``5-sync.csv``, then ``manifest.csv``) and works on
pieces of footage of at most ``plan.CHUNK_S`` seconds, whose results are kept as files that appear whole. Nothing
depends on how many processes work, on their order, or on how often the job was stopped.
"""
