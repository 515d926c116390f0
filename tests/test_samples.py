"""What a model writes is shown as text, whatever it is."""

from lmpipe.report.samples import fenced


def test_text_cannot_leave_its_code_block() -> None:
    text = "a\n```\n<script>alert(1)</script>\n````\n# b"
    lines = fenced(text).splitlines()
    assert lines[0] == "`````text"
    assert lines[-1] == "`````"
    assert "\n".join(lines[1:-1]) == text
