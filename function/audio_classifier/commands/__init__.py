"""The commands of the command line, a module each: ``add(commands)`` adds one to the parser."""
