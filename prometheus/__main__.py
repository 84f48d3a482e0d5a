"""`python -m prometheus` is the command line."""

from prometheus.cli.main import main

if __name__ == "__main__":
    main()
