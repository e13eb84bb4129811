"""What was published, how much it is talked about, and which papers answer a query."""

__version__ = "0.1.0"
