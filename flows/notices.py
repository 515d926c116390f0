"""Notices by mail, sent by the server's automations (flows/automations.py).

prefect deployment run mail/mail -p to=ops@example.org -p text="a try"
"""

import smtplib
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

from prefect import flow, task
from prefect.blocks.system import Secret

SMTP = "lmpipe-smtp"
"""Name of the Secret block with the mail server's address: smtp://user:password@host:587, or smtps://."""

TIMEOUT_SECONDS = 30.0
"""To connect and for each answer."""


@task(task_run_name="send mail", retries=3, retry_delay_seconds=60)
def send(to: str, text: str) -> None:
    """Send one mail; the address of the server is a secret and is in no log."""
    secret = Secret.load(SMTP)
    assert isinstance(secret, Secret), "flows are synchronous"
    send_mail(str(secret.get()), to, text)


def send_mail(server: str, to: str, text: str) -> None:
    """Send one mail by the server that a URL names."""
    place = urlsplit(server)
    message = EmailMessage()
    message["Subject"] = f"lmpipe: {' '.join(text.split())[:120]}"
    message["From"] = f"lmpipe@{place.hostname}"
    message["To"] = to
    message.set_content(text)
    connect = smtplib.SMTP_SSL if place.scheme == "smtps" else smtplib.SMTP
    with connect(place.hostname or "localhost", place.port or 0, timeout=TIMEOUT_SECONDS) as smtp:
        if place.username is not None:
            if place.scheme == "smtp":
                smtp.starttls()
            smtp.login(unquote(place.username), unquote(place.password or ""))
        smtp.send_message(message)


@flow(name="mail", flow_run_name="mail to {to}")
def mail(to: str, text: str) -> None:
    """Send a notice by mail; the server is named by the Secret block lmpipe-smtp.

    Args:
        to: the address of the reader
        text: what to say; its beginning is the subject too
    """
    send(to, text)
