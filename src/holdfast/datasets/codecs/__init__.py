"""How records become the bytes of a data file, and come back."""
