from loadtest.measure.tables import print_table


def test_columns_line_up(capsys):
    print_table("speeds", ("engine", "ms"), [("ours", 1.2345), ("theirs", 12345.6), ("nobody", None)])
    assert capsys.readouterr().out.splitlines() == [
        "",
        "speeds",
        "engine      ms",
        "ours      1.23",
        "theirs  12,346",
        "nobody       -",
    ]
