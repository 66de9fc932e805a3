"""The matrix that every test here fills, printed when all have run."""
import pytest
from rights.declared import KNOWN
from rights.matrix import MATRIX


@pytest.fixture
def matrix():
    return MATRIX


def pytest_terminal_summary(terminalreporter):
    if MATRIX.rows:
        terminalreporter.section("rights")
        for line in MATRIX.lines(KNOWN):
            terminalreporter.line(line)
