"""The subcommands of ``minidl``, a module each: HELP, add_arguments(parser) and run(args) -> exit code."""
