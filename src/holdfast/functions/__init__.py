"""Python functions with names in many languages, kept by what they do (spec/functions.md)."""
