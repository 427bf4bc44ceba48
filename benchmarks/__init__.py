"""Speed of Belamy's loop and loaders against textbooks': ``python -m benchmarks``."""
