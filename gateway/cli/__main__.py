"""The `ledgate` command without its script: `python -m gateway.cli`."""

from gateway.cli import main

main()
