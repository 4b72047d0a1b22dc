"""Studies: methods side by side on experiments, each with several seeds; their runs, statistics and report."""
