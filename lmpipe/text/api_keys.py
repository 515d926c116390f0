"""Find credentials in text by the fixed marks their issuers gave them, as gitleaks and detect-secrets know them.

Only forms with an unmistakable mark are looked for: a key without one is a random word, and a rule for
random words would delete base64, hashes and identifiers.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

MIN_DISTINCT = 8
"""Different characters that a real key has at least; placeholders such as sk-xxxxxxxx have fewer."""
EXAMPLE = re.compile(r"EXAMPLE|example|your[_-]|YOUR[_-]|\.\.\.")
"""Marks of a documented placeholder, such as AWS's AKIAIOSFODNN7EXAMPLE."""


class KeyForm(NamedTuple):
    """One form of credential."""

    marks: tuple[str, ...]
    """One of these stands in every key: a plain search for them is the prefilter."""
    pattern: re.Pattern[str]
    """Linear on any input: bounded, or starting only where no key character stands before."""


def form(marks: str, pattern: str) -> KeyForm:
    """Compile one form; keys never start or end inside a word."""
    return KeyForm(tuple(marks.split()), re.compile(rf"(?<![A-Za-z0-9_\-])(?:{pattern})(?![A-Za-z0-9_])"))


FORMS = (
    form("AKIA ASIA ABIA ACCA", r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}"),
    form("ghp_ gho_ ghu_ ghs_ ghr_", r"gh[pousr]_[A-Za-z0-9]{36}"),
    form("github_pat_", r"github_pat_[A-Za-z0-9_]{82}"),
    form("glpat-", r"glpat-[A-Za-z0-9_\-]{20}"),
    form("xox", r"xox[abeprs]-[0-9A-Za-z]{2,14}-[0-9A-Za-z\-]{10,72}"),
    form("hooks.slack.com", r"hooks\.slack\.com/services/T[A-Z0-9]{8,12}/B[A-Z0-9]{8,12}/[A-Za-z0-9]{20,26}"),
    form("AIza", r"AIza[A-Za-z0-9_\-]{35}"),
    form("GOCSPX-", r"GOCSPX-[A-Za-z0-9_\-]{28}"),
    form("sk-", r"sk-(?:(?:proj|svcacct|admin|ant-api[0-9]{2}|ant-admin[0-9]{2})-[A-Za-z0-9_\-]{40,200}"
                r"|[A-Za-z0-9]{32,64})"),
    form("sk_live_ rk_live_ sk_test_ rk_test_", r"[sr]k_(?:live|test)_[A-Za-z0-9]{16,99}"),
    form("npm_", r"npm_[A-Za-z0-9]{36}"),
    form("hf_", r"hf_[A-Za-z]{34}"),
    form("SG.", r"SG\.[A-Za-z0-9_\-]{22}\.[A-Za-z0-9_\-]{43}"),
    form("eyJ", r"eyJ[A-Za-z0-9_\-]{10,}+\.eyJ[A-Za-z0-9_\-]{10,}+\.[A-Za-z0-9_\-]{10,}+"),
)  # fmt: skip
"""AWS, GitHub, GitLab, Slack, Google, OpenAI and Anthropic, Stripe, npm, Hugging Face, SendGrid, JSON Web Tokens."""

AWS_SECRET = re.compile(
    r"aws_secret_access_key[\"']?\s{0,3}[=:]\s{0,3}[\"']?(?P<key>[A-Za-z0-9/+]{40})(?![A-Za-z0-9/+])", re.IGNORECASE
)
"""Forty characters without a mark; the name in front of them is the mark."""
PEM = re.compile(
    r"-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----\n"
    r"(?:[A-Za-z\-]{1,30}: [^\n]{0,200}\n){0,8}"
    r"[^\-]{16,65536}+-----END [A-Z0-9 ]{1,60}-----"
)
"""A private key with its armour; [^-] ends at the next armour line, so many BEGINs without END stay linear."""


def find_keys(text: str) -> Iterator[tuple[int, int]]:
    """Yield start and end of every credential, form by form."""
    for marks, pattern in FORMS:
        if any(mark in text for mark in marks):
            for match in pattern.finditer(text):
                if len(set(match[0])) >= MIN_DISTINCT and not EXAMPLE.search(match[0]):
                    yield match.span()
    if "PRIVATE KEY" in text:
        for match in PEM.finditer(text):
            yield match.span()
    if "secret_access_key" in text or "SECRET_ACCESS_KEY" in text:
        for match in AWS_SECRET.finditer(text):
            if not EXAMPLE.search(match["key"]):
                yield match.span("key")
