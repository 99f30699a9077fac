"""What ends training early."""


class TrainingError(RuntimeError):
    """Training cannot continue; the message gives the reason and what to try."""


class OutOfMemory(TrainingError):
    """There was not enough memory; the message lists the options that need less."""


class Interrupted(KeyboardInterrupt):
    """Training was asked to stop; its state was saved, and training can resume from it."""
