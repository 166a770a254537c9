"""The numbers of a figure and of a table, as a spreadsheet may open them."""

from __future__ import annotations

import numpy as np

from snw_dist.report.csv_table import figure_csv, table_csv
from snw_dist.report.marks import Axis, Bars, Grid, Lines, Panel, Points, Rules
from snw_dist.report.page import Column, Table

X = np.array([1.0, np.nan])


def test_every_mark_has_its_rows() -> None:
    marks = (
        *(Lines("l", X, X, X, X), Points("p", X, X, texts=("=a", "b")), Bars("b", X, X, X)),
        *(Rules("r", (0.5,)), Grid("g", np.array([[7.0]]))),
    )
    rows = figure_csv([Panel(marks, Axis(names=("col",)), Axis(names=("row",)), "T")]).splitlines()
    assert rows[0] == "panel,mark,x,y,low,high,text"
    assert rows[1:3] == ["T,l,1.0,1.0,1.0,1.0,", "T,l,,,,,"]
    assert rows[3] == "T,p,1.0,1.0,,,'=a"
    assert rows[5:] == ["T,b,1.0,1.0,,,", "T,b,,,,,", "T,r,0.5,,,,", "T,g,col,row,,,7.0"]


def test_a_table_has_all_rows() -> None:
    table = Table("t", "", "", [Column("a"), Column("b", 1)], [["-x", 0.123456], [None, np.nan], ["0.1 to", 3]], most=1)
    assert table_csv(table) == "a,b\n'-x,0.123456\n,\n0.1 to,3\n"
