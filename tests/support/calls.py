"""HTTP calls to our processes: `calls.get` and the like, with the arguments of `httpx.get`.

Each has a connection of its own, so that none meets what a killed process has left behind. Threads may share them.
"""

import httpx

# `httpx.get` reads the machine's certificates each time, which takes longer than the call.
_http = httpx.Client(timeout=20, limits=httpx.Limits(max_keepalive_connections=0))

get, post, put = _http.get, _http.post, _http.put
