"""Runs commands in a fork of this process, which has imported what takes a new one seconds."""

import multiprocessing
import os
import signal
import sys
import warnings


def start(*arguments, output, errors, without=()):
    """Start ``motet`` with its output and errors in two open files; return the process.

    It closes the file descriptors that it must do ``without``.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of fork beside threads, which sleep
        context = multiprocessing.get_context("fork")
        process = context.Process(target=_main, args=(arguments, output, errors, without))
        process.start()
    return process


def _main(arguments, output, errors, without):
    from motet.cli import main

    for number in without:
        os.close(number)
    for number, file in ((1, output), (2, errors)):
        os.dup2(file.fileno(), number)
    sys.stdout, sys.stderr = (os.fdopen(os.dup(number), "w", buffering=1) for number in (1, 2))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    warnings.resetwarnings()
    sys.argv = ["motet", *arguments]
    main()
