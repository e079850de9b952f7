"""`python -m hookrouter`."""

from hookrouter.cli import main

if __name__ == "__main__":
    main()
