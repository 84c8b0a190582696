"""The command line: one module for each command, with ``add(commands)`` to add it to the parser."""
