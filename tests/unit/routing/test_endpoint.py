"""What goes along where an answer leads elsewhere."""

from __future__ import annotations

from hookrouter.http.trust import SYSTEM, Trust
from hookrouter.routing.endpoint import Endpoint, Route


def test_a_client_certificate_goes_to_who_is_entrusted() -> None:
    """The route's own origin, and those that its credentials go to; to nobody else."""
    ours = Trust("ca.pem", "client.pem", "client.key")
    route = Route("ivr", Endpoint("https://a.test/ivr", trust=ours), entrusted_urls=("https://b.test",))
    found = {url: route.endpoint_at(url).trust for url in ("https://a.test/x", "https://b.test/x", "https://c.test/x")}
    assert found == {"https://a.test/x": ours, "https://b.test/x": ours, "https://c.test/x": SYSTEM}
