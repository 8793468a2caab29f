"""What tests of interruptions rely on."""

from __future__ import annotations

import signal

# A shell has programs that it starts in the background ignore interrupts, and their children do, too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
