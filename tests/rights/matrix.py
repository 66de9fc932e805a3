"""What was tried and what came of it: a row for each service and store, printed at the end of the run."""


class Row:
    """The tries of one service in one store. A try is a failure of the test both ways: where something that is not
    its own was not refused, and where something that it needs was."""

    def __init__(self, service: str, store: str):
        self.service, self.store = service, store
        self.tried = self.refused = self.needed = self.allowed = 0
        self.problems: list[str] = []

    def refuses(self, what: str, refused: bool, answer: object = "") -> None:
        """Notes a try of what is not the service's own."""
        self.tried += 1
        self.refused += bool(refused)
        if not refused:
            self.problems.append(f"not refused: {what} ({answer})")

    def allows(self, what: str, allowed: bool, answer: object = "") -> None:
        """Notes a try of what the service needs."""
        self.needed += 1
        self.allowed += bool(allowed)
        if not allowed:
            self.problems.append(f"refused, though it is needed: {what} ({answer})")

    def check(self) -> None:
        assert self.tried, "nothing was tried"
        assert not self.problems, f"{self.service} in {self.store}:\n" + "\n".join(self.problems)


class Matrix:
    def __init__(self) -> None:
        self.rows: list[Row] = []

    def row(self, service: str, store: str) -> Row:
        row = Row(service, store)
        self.rows.append(row)
        return row

    def lines(self, known: dict[str, tuple[str, ...]]) -> list[str]:
        stores = list(dict.fromkeys(row.store for row in self.rows))
        services = list(dict.fromkeys(row.service for row in self.rows))
        by_place = {(row.service, row.store): row for row in self.rows}
        cell = lambda row: "-" if row is None else f"{row.refused}/{row.tried}"  # noqa: E731
        lines = ["Refused / tried of what is not its own, by service and store:", "",
                 f"{'':14}" + "".join(f"{store:>14}" for store in stores)]
        for service in services:
            lines.append(f"{service:14}" + "".join(f"{cell(by_place.get((service, s))):>14}" for s in stores))
        total = lambda name: sum(getattr(row, name) for row in self.rows)  # noqa: E731
        lines += ["", f"{total('tried')} tried, {total('refused')} refused; "
                      f"{total('needed')} needed, {total('allowed')} allowed", ""]
        lines += [f"known ({store}): {text}" for store in stores for text in known.get(store, ())]
        return lines


MATRIX = Matrix()
