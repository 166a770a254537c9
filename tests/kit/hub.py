"""A hub on this machine with one repository: as much of its protocol as fetching a repository needs."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@contextlib.contextmanager
def hub_of(folder: Path, name: str) -> Iterator[str]:
    """Serve the files of a folder as the repository `owner/name`, with the file that the hub adds: the address."""
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    files[".gitattributes"] = b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n"
    info = {"id": name, "modelId": name, "sha": COMMIT, "siblings": [{"rfilename": path} for path in files]}
    tree = [
        {"type": "file", "path": path, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
        for path, data in files.items()
    ]

    class Handler(BaseHTTPRequestHandler):
        def _answer(self, data: bytes | None) -> None:
            self.send_response(404 if data is None else 200)
            self.send_header("Content-Length", str(len(data or b"")))
            self.send_header("ETag", f'"{hashlib.sha1(data or b"").hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(data or b"")

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == f"/api/models/{name}/revision/main":
                self._answer(json.dumps(info).encode())
            elif path == f"/api/models/{name}/tree/{COMMIT}":
                self._answer(json.dumps(tree).encode())
            else:
                self._answer(files.get(path.removeprefix(f"/{name}/resolve/{COMMIT}/")))

        def do_HEAD(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
