"""python -m lmpipe.cli: the same as the command `lmpipe`."""

from lmpipe.cli import main

main()
