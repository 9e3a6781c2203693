"""Run the command line as ``python -m orderledger``."""

from orderledger.command_line import main

if __name__ == "__main__":
    main()
