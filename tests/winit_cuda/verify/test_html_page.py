"""The page of a report: what is in it, what is escaped, how large it is, and in a real browser."""

from __future__ import annotations

import math
import re
import time
from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

import browser
import winit_cuda as winit
from initializers import needs_core

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = needs_core
SCRIPT = "<script>alert(1)</script>"


def report_of(count: int) -> winit.ModelReport:
    """On so many parameters, of which number 7 is all zero and number 9 has a NaN."""
    shapes = [(64, 33), (33,)]
    model = nn.ParameterDict({f"p{i}": torch.empty(shapes[i % 2]) for i in range(count)})
    model[SCRIPT] = nn.Parameter(torch.empty(5, 5))
    plan = winit.plan(model, {"*": winit.Normal(std=0.02)})
    plan.run(model, seed=0)
    with torch.no_grad():
        model["p7"].zero_()
        model["p9"][3] = math.nan
    return winit.report(model, plan)


def test_it_needs_nothing_else():
    page = report_of(20).to_html()
    assert not re.search(r'(src|href)=(?!"data:)|@import|url\(|https?:', page)
    assert page.count("<details class=row") == 21
    assert page.index(">p9<") < page.index(">p0<")
    assert page.count("<path class=law") == 20  # all but the one of zeros
    assert "2 of 21 parameters are wrong" in page
    head = page[page.index("<header") : page.index("</header>")]
    assert "p9: 1 NaN of 33 elements" in head
    assert "p7: all elements are 0" in head


def test_names_are_escaped():
    page = report_of(20).to_html()
    assert SCRIPT not in page
    assert "&lt;script&gt;alert(1)" in page


def test_a_thousand_parameters_take_less_than_2_mb():
    begin = time.perf_counter()
    page = report_of(1000).to_html()
    assert len(page.encode()) < 2_000_000
    assert time.perf_counter() - begin < 30


def test_what_is_wrong_is_told_before_what_is_odd():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    with torch.no_grad():
        model[0].bias.fill_(-1e3)
        model[2].weight[0] = math.inf
    page = winit.report(model, batch="random").to_html()
    head = page[page.index("<header") : page.index("</header>")]
    assert head.index("4 infinite of 16") < head.index("4 of 4 units are 0")


@pytest.fixture(scope="module")
def tab() -> Iterator[browser.Browser]:
    path = browser.find()
    if path is None:
        pytest.skip("there is no Chromium: apt-get install chromium brings it")
    with browser.running(path) as opened:
        yield opened


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.Tanh())
    plan = winit.plan(model, {"*.bias": winit.Zeros(), "*": winit.XavierNormal()})
    plan.run(model, seed=0)
    with torch.no_grad():
        model[2].weight.mul_(1.5)
    path = tmp_path_factory.mktemp("page") / "report.html"
    winit.report(model, plan, "random").save(path)
    return path


def shown(tab: browser.Browser) -> list[str]:
    """The names in the rows that are to be seen."""
    rows = "[...document.querySelectorAll('.row')].filter(row => row.offsetHeight)"
    return tab.value(f"{rows}.map(row => row.querySelector('b').textContent)")


@pytest.mark.parametrize("width", [1280, 390])
def test_rows_unfold(tab, page, width):
    tab.open(page, width)
    assert shown(tab) == ["2.weight", "0.weight", "0.bias", "2.bias"]
    assert tab.value("document.documentElement.scrollWidth <= innerWidth")
    assert tab.value("document.querySelector('#r1 b').offsetWidth") >= 250
    unfolded = "document.querySelector('#r1 .bins svg').checkVisibility()"
    height = "document.querySelector('#r1').offsetHeight"
    folded_height = tab.value(height)
    assert not tab.value(unfolded)
    tab.click("#r1 > summary")
    assert tab.value(unfolded)
    assert tab.value(height) > folded_height + 100
    tab.value("document.querySelector('#r0 > summary').focus()")
    tab.press("Enter", 13, "\r")
    assert tab.value("document.querySelector('#r0').open")
    tab.press("Enter", 13, "\r")
    assert not tab.value("document.querySelector('#r0').open")
    assert tab.errors == []
    assert tab.requests == [page.as_uri()]


def test_the_filter(tab, page):
    tab.open(page)
    tab.click("#filter")
    tab.type("WEIGHT 0.")
    assert shown(tab) == ["2.weight", "0.weight"]  # the law of one has 0. in it
    assert tab.value("document.getElementById('shown').textContent") == "2 of 4"
    tab.type("no such name")
    assert shown(tab) == []
    assert tab.value("document.getElementById('none').offsetHeight") > 0
    tab.open(page)
    tab.click("#only")
    assert shown(tab) == ["2.weight"]
    tab.click("circle[data-row=r1]")  # a mark of the plot shows its row, filter or not
    assert tab.value("document.querySelector('#r1').open")
    assert len(shown(tab)) == 4
    assert tab.errors == []


def test_light_and_dark(tab, page):
    colors = []
    for dark in (False, True):
        tab.open(page, dark=dark)
        colors.append(tab.value("getComputedStyle(document.body).backgroundColor"))
    assert colors == ["rgb(255, 255, 255)", "rgb(20, 23, 28)"]


def test_a_script_in_a_name_does_not_run(tab, tmp_path):
    path = tmp_path / "report.html"
    report_of(10).save(path)
    tab.open(path)
    assert SCRIPT in shown(tab)
    assert tab.errors == []


def test_errors_are_seen(tab, tmp_path):
    """Else the tests above would not fail on one."""
    path = tmp_path / "broken.html"
    path.write_text("<script>console.error('told'); nothing.at.all</script>")
    tab.open(path)
    assert len(tab.errors) == 2
    tab.errors.clear()
