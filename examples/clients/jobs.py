#!/usr/bin/env python3
"""Create a job on whatever stands behind a URL, and wait for its end.

    JOBKEEP_TOKEN=T examples/clients/jobs.py http://127.0.0.1:8080 echo '{"hello": "world"}'
    JOBKEEP_TOKEN=T examples/clients/jobs.py http://127.0.0.1:8080 echo '1' --servers http://{server}.internal:8081

Needs nothing but the standard library, and knows of the host what GET /v1/openapi.json says.
"""

import argparse
import json
import os
import re
import sys
import time
import urllib.error
import urllib.request
import uuid

# No proxy, and no redirect: a job goes to the host that was named, and to no other.
class Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}), Stay)


class Refused(Exception):
    """The host said no; `problem` says why, for programs in its `code`."""

    def __init__(self, status, problem, retry_after):
        super().__init__(f"{status} {problem.get('code', '')}: {problem.get('detail', '')}")
        self.status, self.problem, self.retry_after = status, problem, retry_after

    def passes(self):
        """It is worth asking again: a balancer may be the one that said so, or a host that is starting."""
        by_others = "code" not in self.problem
        return self.status in (429, 502, 503, 504) or by_others and self.status in (404, 408)


class Jobs:
    def __init__(self, url, token=None, servers=None):
        """`servers` says where a host is that answered a receipt, `{server}` being its name."""
        self.url, self.token, self.servers = url.rstrip("/"), token, servers

    def create(self, name, payload, **options):
        """Returns the receipt. Options: queue, priority, delay_ms, run_at_ms, max_attempts, key, ..."""
        # Should the answer be lost, this host makes no second job of a repeated request. Behind a
        # balancer another host may get it, and would: so that one is not repeated here.
        options.setdefault("key", str(uuid.uuid4()))
        job = {"name": name, "payload": payload, **options}
        return self._send("POST", f"{self.url}/v1/jobs", job)

    def wait(self, receipt, seconds):
        """Returns the finished job, or where it stands when the time is over."""
        end = time.monotonic() + seconds
        while True:
            left = max(0.0, end - time.monotonic())
            # A host answers sooner than a balancer gives up.
            patience = int(min(left, 25.0) * 1000)
            host = self._host(receipt["server"])
            try:
                job = self._send("GET", f"{host}/v1/jobs/{receipt['receipt']}?wait_ms={patience}")
            except Refused as refused:
                pause = float(refused.retry_after or 1)
                if pause > left or not refused.passes():
                    raise
                time.sleep(pause)
                continue
            if "finished_ms" in job or left == 0:
                return job

    def _host(self, server):
        if self.servers is None:
            return self.url
        # What came over the wire is a name, and never an address.
        if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}", server):
            raise ValueError(f"{server!r} is no name of a server")
        return self.servers.replace("{server}", server).rstrip("/")

    def _send(self, method, url, body=None):
        request = urllib.request.Request(url, method=method)
        if self.token:
            request.add_header("Authorization", f"Bearer {self.token}")
        if body is not None:
            request.add_header("Content-Type", "application/json")
            request.data = json.dumps(body).encode()
        try:
            with OPENER.open(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as refused:
            with refused:
                text = refused.read()
            if refused.headers.get_content_type() != "application/problem+json":
                raise Refused(refused.code, {"detail": "this was no answer of a host"}, seconds(refused))
            raise Refused(refused.code, json.loads(text), seconds(refused))


def seconds(refused):
    """When to come again, where that is said in seconds."""
    after = refused.headers.get("Retry-After", "")
    return int(after) if after.isdecimal() else None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url", help="the balancer, or a host")
    parser.add_argument("name", help="the name of the job type")
    parser.add_argument("payload", type=json.loads, help="its value, as JSON")
    parser.add_argument("--servers", help="where hosts are: http://{server}.internal:8081")
    parser.add_argument("--seconds", type=float, default=60, help="how long to wait for its end (60)")
    asked = parser.parse_args()
    jobs = Jobs(asked.url, os.environ.get("JOBKEEP_TOKEN"), asked.servers)
    try:
        receipt = jobs.create(asked.name, asked.payload)
        print(f"accepted by {receipt['server']} as job {receipt['number']}, {receipt['durability']}", file=sys.stderr)
        job = jobs.wait(receipt, asked.seconds)
    except (Refused, urllib.error.URLError, ValueError) as fault:
        sys.exit(f"jobs.py: {fault}")
    if job["state"] != "succeeded":
        failure = job.get("failure", {}).get("message", "it has not finished")
        sys.exit(f"jobs.py: job {job['number']} is {job['state']}: {failure}")
    print(json.dumps(job.get("output")))


if __name__ == "__main__":
    main()
