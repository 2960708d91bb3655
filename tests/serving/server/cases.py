"""Tables of tests: a body of JSON a line, and what is said of it on the next one."""


def cases(text: str) -> list[tuple[str, str]]:
    """Pairs of lines, the second of each indented."""
    lines = text.strip("\n").split("\n")
    assert all(line.startswith("  ") for line in lines[1::2])
    assert not any(line.startswith("  ") for line in lines[::2])
    return list(zip(lines[::2], (line[2:] for line in lines[1::2]), strict=True))
