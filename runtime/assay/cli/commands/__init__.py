"""A module per command of `assay`, with HELP, add_arguments and run. assay.cli.parser lists them."""
