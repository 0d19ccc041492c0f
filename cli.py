"""Runs tlkit from a checkout: `python cli.py finetune recipes/quickstart.yaml`."""

from tlkit.cli.main import main

if __name__ == "__main__":
    main()
