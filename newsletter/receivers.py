"""What the provider reports is handed to the one function that records it."""
