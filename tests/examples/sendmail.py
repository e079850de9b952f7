"""sendmail: the message on standard input goes to the server that SMTP names; status 75, if that is away."""

from __future__ import annotations

import email
import os
import smtplib
import sys


def main() -> int:
    host, _, port = os.environ["SMTP"].partition(":")
    try:
        with smtplib.SMTP(host, int(port), timeout=10) as server:
            server.send_message(email.message_from_bytes(sys.stdin.buffer.read()))
    except (OSError, smtplib.SMTPException) as error:
        sys.stderr.write(f"{error}\n")
        return 75
    return 0


if __name__ == "__main__":
    sys.exit(main())
