"""Open pages of the site in a headless browser, and end with what its console complains of.

    python docs/browse.py docs/_build/html [folder for screenshots]

It needs chromium. Nothing is fetched from elsewhere; a file that a page asks for and that is not
there counts as a complaint.
"""

import re
import shutil
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PAGES = {
    "front": "index.html",
    "gallery": "gallery/index.html",
    "api": "generated/skae.AutoEncoder.html",
    "guide": "which_estimator.html",
    "search": "search.html?q=missing+values",
}
WIDTHS = {"desktop": 1280, "phone": 390}
# What the theme says of itself on each page.
KNOWN = ("[PST]", "Got invalid theme mode")
missing = []


class Handler(SimpleHTTPRequestHandler):
    """Serve files, and note those that are not there."""

    def log_request(self, code="-", size="-"):
        """Note requests that failed."""
        if int(code) >= 400:
            missing.append(self.path)

    def log_error(self, format, *args):
        """Say nothing: `main` does."""


def open_page(url, width, picture):
    """Return what the console says of a page, and take its picture."""
    browser = next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None
    )
    if browser is None:
        sys.exit("There is no chromium; install it, or open the pages yourself.")
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"]
    options += ["--virtual-time-budget=4000", f"--window-size={width},1600"]
    run = [browser, *options, f"--screenshot={picture}", url]
    said = subprocess.run(run, capture_output=True, text=True, timeout=120, check=True).stderr
    messages = re.findall(r':CONSOLE[^\]]*\] "(.*)", source', said)
    return [message for message in messages if not message.startswith(KNOWN)]


def main(site, folder="build/screenshots"):
    """Open all pages at all widths."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    server = ThreadingHTTPServer(("localhost", 0), partial(Handler, directory=site))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    complaints = []
    for name, page in PAGES.items():
        for kind, width in WIDTHS.items():
            url = f"http://localhost:{server.server_port}/{page}"
            picture = Path(folder, f"{name}_{kind}.png").resolve()
            complaints += [f"{page}: {text}" for text in open_page(url, width, picture)]
    complaints += [f"{path} is not there" for path in missing if path != "/favicon.ico"]
    if complaints:
        sys.exit("\n".join(complaints))
    print(f"{len(PAGES)} pages opened without a complaint; the screenshots are in {folder}")


if __name__ == "__main__":
    main(*sys.argv[1:])
