"""Prometheus' own parser of its text format reads the counters of the server."""

import urllib.error
import urllib.request

from harness import SECONDS, check, echo_server, expect
from prometheus_client.parser import text_string_to_metric_families


def fetch(url, fields=None):
    request = urllib.request.Request(url, headers=fields or {})
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, "", ""


@check("prometheus-client", "the counters parse, also after a plain GET of a WebSocket")
def counters():
    with echo_server() as server:
        expect(fetch(server.http + "/echo")[0], 426, "status of a plain GET of a route")
        expect(fetch(server.http + "/nowhere", {"Upgrade": "websocket"})[0], 404, "status")
        status, content_type, text = fetch(server.http + "/metrics")
        expect(status, 200, "status")
        expect(content_type, "text/plain; version=0.0.4", "Content-Type")
    families = {family.name: family for family in text_string_to_metric_families(text)}
    expect(families["tern_connections_accepted"].samples[0].value, 3.0, "connections")
    expect(families["tern_connections_open"].type, "gauge", "type")
    refusals = {sample.labels["reason"]: sample.value for sample in families["tern_refusals"].samples}
    expect(refusals, {"upgrade_required": 1.0, "route_not_found": 1.0}, "refusals")
    for family in families.values():
        expect(family.documentation.endswith("."), True, f"HELP of {family.name}")
