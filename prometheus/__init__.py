"""Prometheus runs a desk's daily and weekly work on market time.

This module holds the version and nothing else: importing it loads no library.
"""

__version__ = "0.1.0"
