"""``python -m gpuprep``: the command."""

from gpuprep.cli.app import main

if __name__ == "__main__":
    main()
