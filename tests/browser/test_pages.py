"""Every page, as every kind of reader finds it: by its address, in both colours, on a phone, by axe's rules."""

import re
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from processes import MASTER_KEY

FILES = Path(__file__).parents[2] / "src/admin/ui/pages"
PAGES = {
    "/": "Overview", "/requests": "Requests", "/models": "Models", "/playground": "Playground", "/keys": "Keys",
    "/teams": "Teams", "/users": "Users", "/budgets": "Budgets", "/config": "Configuration",
}
SHEETS = ["/keys?new=1", "/teams?open=search", "/users?open=internal_user", "/budgets?open=interns", "/models?open=gpt-1", "/models?new=1"]
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


# What depends on colours, and on the room that there is: the rest was judged in light on a wide screen.
COLOURS = {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}
ROOM = {"runOnly": {"type": "rule", "values": [
    "color-contrast", "target-size", "scrollable-region-focusable", "aria-hidden-focus", "landmark-unique", "label", "button-name",
    "link-name", "heading-order", "region", "page-has-heading-one", "duplicate-id-aria", "aria-valid-attr-value",
]}}


def judge(page, rules=RULES):
    """axe-core's verdict, without what its rules leave to people."""
    found = Axe().run(page, options=rules).response["violations"]
    told = [f"{one['id']} ({one['impact']}): {node['html'][:200]}" for one in found for node in one["nodes"][:3]]
    assert not told, "\n".join(told)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_every_page_opens_by_its_address_and_is_accessible(look, path, dark):
    page = look(dark=dark).open(path)
    expect(page.get_by_role("heading", level=1)).to_have_text(PAGES[path])
    expect(page).to_have_title(f"{PAGES[path]} · Tollgate")
    expect(page.get_by_role("link", name=PAGES[path], exact=True)).to_have_attribute("aria-current", "page")
    judge(page, COLOURS if dark else RULES)


@pytest.mark.parametrize("path", SHEETS)
def test_every_sheet_opens_by_its_address_and_is_accessible(look, path):
    page = look().open(path)
    expect(page.get_by_role("dialog")).to_be_visible()
    judge(page)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_sign_in_page_is_accessible(visit, dark):
    judge(visit(dark=dark).open("/"))


@pytest.mark.parametrize("path", PAGES)
def test_every_page_fits_a_phone(look, path):
    page = look(phone=True).open(path)
    # Wide tables scroll by themselves; the page does not.
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    small = page.evaluate("""() => [...document.querySelectorAll('main button, main a.button, main select')]
        .filter((one) => one.checkVisibility() && one.getBoundingClientRect().height < 24)
        .map((one) => one.outerHTML.slice(0, 120))""")
    assert not small, small
    judge(page, ROOM)


@pytest.mark.parametrize("path", ["/requests", "/"])
def test_tables_of_numbers_fit_a_phone(look, path):
    page = look(phone=True).open(path)
    cut = page.evaluate("""() => [...document.querySelectorAll('main .card .table-wrap')]
        .filter((one) => one.scrollWidth > one.clientWidth).map((one) => one.getAttribute('aria-label'))""")
    assert not cut, cut


def test_every_module_is_named_at_the_top():
    """A module that is not would be fetched only when the one that imports it has come."""
    named = set(re.findall(r'"modulepreload" href="/ui/([^"]+)"', (FILES / "index.html").read_text()))
    there = {str(file.relative_to(FILES)) for file in FILES.rglob("*.js")}
    assert named == there - {"main.js", "theme.js"}


def test_what_is_no_page_says_so(visit):
    visitor = visit(MASTER_KEY)
    # The last is no text at all.
    for path in ["/nowhere", "/requests/1/2", "/requests/%E0%A4%A"]:
        expect(visitor.open(path).get_by_text("There is no such page")).to_be_visible()


def test_a_page_does_not_jump_while_its_data_come(visit, traffic):
    visitor = visit(MASTER_KEY)
    visitor.context.add_init_script("""
        window.moved = 0;
        new PerformanceObserver((list) => {
          for (const one of list.getEntries()) if (!one.hadRecentInput) window.moved += one.value;
        }).observe({ type: 'layout-shift', buffered: true });""")
    for path in ("/keys", "/models", "/requests", "/"):
        page = visitor.open(path)
        # Web Vitals call up to 0.1 good.
        assert page.evaluate("window.moved") < 0.1, path
