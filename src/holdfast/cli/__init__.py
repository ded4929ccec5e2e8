"""The command line: `holdfast` (typer), one module per command group."""
