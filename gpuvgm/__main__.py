"""``python -m gpuvgm``."""

from gpuvgm.cli import main

if __name__ == "__main__":
    main()
