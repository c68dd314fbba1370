"""The benchmark suite: starts the contenders of a workload side by side and compares them cycle by cycle."""
