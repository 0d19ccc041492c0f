"""The page in a real browser: a photo is dropped on it."""

import re

import pytest
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from tests.browser import CHROMIUM, page_after
from tests.serve.conftest import listening
from tlkit.serve.app import make_app
from tlkit.serve.limits import Limits

# what the browser does when a person lets go of a file over the page
DROP = """
<script>
addEventListener('load', async () => {
  const files = new DataTransfer();
  for (const name of NAMES)
    files.items.add(new File([await (await fetch('given/' + name)).blob()], name));
  document.querySelector('#drop').dispatchEvent(
    new DragEvent('drop', { dataTransfer: files, bubbles: true, cancelable: true }));
});
</script>
"""


@pytest.fixture
def seen(deployed, picture, tmp_path):
    """The page after some files were dropped on it."""
    given = {"green.png": picture, "broken.png": b"nonsense"}

    def look(names, **options):
        app = make_app(deployed, Limits(), **options)
        endpoints = {route.path: route.endpoint for route in app.router.routes}

        async def with_a_hand(request):
            answer = await endpoints["/"](request)
            return HTMLResponse(answer.body.decode() + DROP.replace("NAMES", str(names)))

        async def give(request):
            return Response(given[request.path_params["name"]])

        app.router.routes += [
            Route("/hand/", with_a_hand),
            Route("/hand/given/{name}", give),
            Route("/hand/predict", endpoints["/predict"], methods=["POST"]),
        ]
        with listening(app) as address:
            return page_after(f"{address}/hand/", tmp_path, 20_000)

    return look


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
def test_a_dropped_photo_gets_its_label_bars_and_map(seen):
    page = seen(["green.png", "broken.png"])
    (article,) = re.findall("<article>.*?</article>", page, re.S)
    assert "<h2>green</h2>" in article
    shares = [float(text) for text in re.findall(r"<span>([\d.]+) %</span>", article)]
    assert len(shares) == 3
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(100, abs=0.2)
    assert len(re.findall(r'<i style="width: [\d.]+%;?">', article)) == 3
    assert re.search('src="data:image/png;base64,[^"]{500}', article)
    assert "broken.png: not a picture" in page


def test_the_page_needs_nothing_else_and_may_do_nothing_else(client):
    answer = client.get("/")
    assert "colours" in answer.text
    assert not re.findall(r"(?:src|href)=|@import|https?://", answer.text)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "connect-src 'self'" in policy
