"""The command line. `main` is the entry point, `commands` the list of commands; each other module is a command."""
