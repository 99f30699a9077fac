"""What a live display shows: bars of known work, tables that fit the screen, lines that stay."""

import io

from rich.console import Console

from motet.live import Live, Progress, Table, listening, report


def screen(height=30):
    return Console(
        file=io.StringIO(), force_terminal=True, width=80, height=height, color_system=None
    )


def shown(live):
    with live.console.capture() as captured:
        live.console.print(live._shown())
    return captured.get()


def test_a_bar_shows_how_much_is_done_and_lines_stay():
    console = screen()
    live = Live(console)
    live.step(Progress("reading: 5 of 10", 5, 10))
    half = shown(live)
    live.step(Progress("reading: 10 of 10", 10, 10))
    assert "reading: 5 of 10" in half
    assert half.count("━") > 10
    assert shown(live) != half
    with live:
        live.say("a line [with brackets]")
    assert "a line [with brackets]" in console.file.getvalue()


def test_work_of_unknown_size_has_no_share():
    live = Live(screen())
    live.step("looking")
    assert "looking" in shown(live)
    live.step(Progress("then 1 of 2", 1, 2))
    live.step("again unknown")
    assert "again unknown" in shown(live)


def test_a_table_is_cut_to_the_screen():
    rows = [
        ("task", "metric", "now", "best"),
        *((f"task {i}", "r2", "0.5", "0.6") for i in range(50)),
    ]
    live = Live(screen(height=20))
    live.step(Table(rows))
    found = shown(live)
    assert "task 0" in found
    assert "task 49" not in found
    assert "and 39 more" in found
    assert len(found.splitlines()) <= 20


def test_progress_and_tables_are_lines_to_whoever_prints_them():
    assert str(Progress("3 of 4", 3, 4)) == "3 of 4"
    assert str(Table([("task", "r2"), ("a", "0.5"), ("b", "0.6")])) == "a 0.5; b 0.6"


def test_work_far_below_reports_to_whoever_listens():
    lines = []
    report("unheard", 0, 1)
    with listening(lines.append):
        report("tokenising texts", 1000, 2000)
    report("unheard", 1, 1)
    assert lines == ["tokenising texts: 1,000 of 2,000"]
    assert lines[0].total == 2000
