"""The command line: sub-commands, options, messages."""
