"""The page in a real browser: photos are dropped on it."""

import base64
import json
import re

import pytest
from starlette.responses import HTMLResponse
from starlette.routing import Route

from tests.browser import CHROMIUM, page_after
from tests.serve.conftest import listening
from tlkit.serve.app import make_app
from tlkit.serve.limits import Limits

# what the browser does when a person lets go of files over the page, and types the token if asked
HAND = """
<script>
addEventListener('load', () => {
  const files = new DataTransfer();
  for (const [name, data] of Object.entries(FILES))
    files.items.add(new File([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))], name));
  document.querySelector('#drop').dispatchEvent(
    new DragEvent('drop', { dataTransfer: files, bubbles: true, cancelable: true }));
  const form = document.querySelector('#token');
  setInterval(() => {
    if (form.style.display !== 'block') return;
    form.querySelector('input').value = 'sesame';
    form.requestSubmit();
    document.title = 'the token was asked for';
  }, 100);
});
</script>
"""


@pytest.fixture
def seen(deployed, tmp_path):
    """The page after files were dropped on it."""

    def look(files, **options):
        app = make_app(deployed, Limits(), **options)
        (page,) = [route.endpoint for route in app.router.routes if route.path == "/"]
        given = json.dumps({name: base64.b64encode(data).decode() for name, data in files.items()})

        async def with_a_hand(request):
            answer = await page(request)
            body = answer.body.decode() + HAND.replace("FILES", given)
            return HTMLResponse(body, headers={"Content-Security-Policy":
                                               answer.headers["Content-Security-Policy"]})  # fmt: skip

        app.router.routes.insert(0, Route("/", with_a_hand))
        with listening(app) as address:
            return page_after(address, tmp_path, 20_000)

    return look


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
def test_a_dropped_photo_gets_its_label_bars_and_map(seen, picture):
    page = seen({"green.png": picture, "broken.png": b"nonsense"})
    (article,) = re.findall("<article>.*?</article>", page, re.S)
    assert "<h2>green</h2>" in article
    shares = [float(text) for text in re.findall(r"<span>([\d.]+) %</span>", article)]
    assert len(shares) == 3
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(100, abs=0.2)
    assert len(re.findall(r'<i style="width: [\d.]+%;?">', article)) == 3
    assert re.search('src="data:image/png;base64,[^"]{500}', article)
    assert "broken.png: the file is text, not a picture" in page


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
def test_it_asks_for_the_token_and_goes_on(seen, picture):
    page = seen({"green.png": picture}, token="sesame")
    assert "<title>the token was asked for</title>" in page
    assert "<h2>green</h2>" in page


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
def test_without_a_map_it_shows_labels_alone(seen, deployed, picture, monkeypatch):
    monkeypatch.setattr(deployed, "explain", None)
    page = seen({"green.png": picture})
    assert "<h2>green</h2>" in page
    assert "data:image/png" not in page.split("<main")[1].split("<script")[0]


def test_the_page_needs_nothing_else_and_may_do_nothing_else(client):
    answer = client.get("/")
    assert "colours" in answer.text
    assert not re.findall(r"(?:src|href)=|@import|https?://", answer.text)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "connect-src 'self'" in policy
