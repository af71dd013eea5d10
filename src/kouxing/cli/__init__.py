"""Command line: each file parses one command, calls the library, prints the outcome, and does nothing else."""
