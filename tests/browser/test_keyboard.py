"""Without a mouse."""

from playwright.sync_api import expect

from processes import MASTER_KEY


def test_the_first_key_skips_the_navigation(admin):
    page = admin.open("/keys")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.keyboard.press("Tab")
    assert page.evaluate("document.querySelector('main').contains(document.activeElement)")


def test_a_page_that_is_opened_has_the_focus_on_its_heading(admin):
    page = admin.open("/keys")
    link = page.get_by_role("link", name="Teams", exact=True)
    link.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Teams", level=1)).to_be_focused()


def test_everything_that_can_be_used_is_reached_and_seen(admin):
    page = admin.open("/models")
    wanted = page.evaluate("""() => {
      const all = [...document.querySelectorAll('a[href], button:not(:disabled), input, select, textarea, [tabindex="0"]')]
        .filter((one) => one.checkVisibility({ visibilityProperty: true }));
      all.forEach((one, at) => { one.dataset.at = at; });
      return all.length;
    }""")
    seen, hidden = set(), []
    for _ in range(wanted + 5):
        page.keyboard.press("Tab")
        at, outlined = page.evaluate("""() => {
          const one = document.activeElement;
          const style = getComputedStyle(one);
          return [one.dataset.at, style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2];
        }""")
        if at is not None:
            seen.add(at)
            if not outlined:
                hidden.append(at)
    assert len(seen) == wanted
    assert not hidden


def test_a_sheet_keeps_the_focus_and_gives_it_back(admin):
    page = admin.open("/keys")
    button = page.get_by_role("button", name="New key")
    button.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Name")).to_be_focused()
    for _ in range(30):
        page.keyboard.press("Tab")
        # The browser's own bar is in the round; the page behind the sheet is not.
        assert page.evaluate("document.activeElement === document.body || document.querySelector('dialog').contains(document.activeElement)")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(button).to_be_focused()


def test_the_menu_of_a_phone_opens_closes_and_leads_on(visit, traffic):
    page = visit(MASTER_KEY, phone=True).open("/")
    menu = page.get_by_role("button", name="Menu")
    expect(page.get_by_role("link", name="Teams")).to_be_hidden()
    menu.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Teams")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("link", name="Teams")).to_be_hidden()
    expect(menu).to_be_focused()
    menu.click()
    page.get_by_role("link", name="Teams").click()
    expect(page.get_by_role("heading", name="Teams", level=1)).to_be_visible()
    expect(page.get_by_role("link", name="Keys", exact=True)).to_be_hidden()
