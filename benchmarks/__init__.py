"""What a figure in the README was measured with: `python -m benchmarks`."""
