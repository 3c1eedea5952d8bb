"""What can go wrong with the stack, as sentences a person can act on."""


class StackError(Exception):
    """The stack cannot do what was asked; the message says why. `exit_code` is what a command should end with."""

    exit_code = 1


class MissingTool(StackError):
    """A program that must be installed first is not there, or is the wrong version."""

    exit_code = 2
