"""Who reads, what they asked for, and which papers suit them."""
