"""Measures a server of OpenAI's completions as `safeguard bench` measures its own engine.

Works with whatever answers POST /v1/completions to prompts of token ids: llama-server, `vllm serve` and others. Prompts
are the random tokens of `safeguard bench`, which behave alike in every model of one shape. All requests of a
measurement are sent at once; whether the server keeps the prefix for all of them is the server's matter.

    completions.py [FLAGS]                    a server that runs
    completions.py [FLAGS] -- COMMAND ARGS    one that is started for it; then start and memory are measured too
"""

import argparse
import concurrent.futures
import json
import pathlib
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

# Tokens by which prompts behind the prefix differ, and tokens that each stream decodes, as in `safeguard bench`.
OWN_TOKENS = 4
DECODE_TOKENS = 16
# Requests that wait for the server at the same time at most.
MAX_IN_FLIGHT = 256
# What a server answers while it loads.
LOADING = 503
# Ids below are ordinary tokens in the vocabulary of gpt-oss.
N_ORDINARY = 199_998


class Unusable(Exception):
    """The server cannot be measured; says why."""


def flags(parser):
    """Sizes, under the names that `safeguard bench` gives them."""
    parser.add_argument("--prefix", type=int, default=1024, metavar="N", help="tokens of the prefix (%(default)s)")
    parser.add_argument("--streams", default="1,8,32,64", metavar="N,N", help="streams behind it; 0: none (%(default)s)")
    parser.add_argument("--items", type=int, default=64, metavar="N", help="items; 0: none (%(default)s)")
    parser.add_argument("--item-tokens", type=int, default=100, metavar="N", help="tokens of an item (%(default)s)")
    parser.add_argument("--generate", type=int, default=64, metavar="N", help="generated for each (%(default)s)")
    parser.add_argument("--vocabulary", type=int, default=N_ORDINARY, metavar="N", help="ordinary tokens (%(default)s)")
    parser.add_argument("--json", action="store_true", help="write the result as JSON")


def streams_of(args):
    return [n for n in map(int, args.streams.split(",")) if n > 0]


class Prompts:
    """The prefix, and prompts behind it that differ by their number."""

    def __init__(self, n_prefix, n_ordinary):
        self.n_ordinary = n_ordinary
        self.prefix = self.noise(0, n_prefix)

    def behind(self, number, n):
        return self.prefix + self.noise(number + 1, n)

    def noise(self, seed, n):
        state, tokens = 2 * seed + 1, []
        for _ in range(n):
            state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
            tokens.append((state >> 33) % self.n_ordinary)
        return tokens


class Server:
    """A server, and the process if it was started for this."""

    def __init__(self, url, command=None, environment=None):
        self.url = url.rstrip("/")
        self.started = time.monotonic()
        self.process = None
        if command:
            # What the server says goes to stderr, so that stdout holds the result alone.
            self.process = subprocess.Popen(command, env=environment, stdout=sys.stderr)
        self.model = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process:
            self.process.terminate()
            self.process.wait()

    def ready(self):
        """Seconds from the start until one token was generated."""
        while True:
            if self.process and self.process.poll() is not None:
                raise Unusable(f"the server ended with {self.process.returncode}")
            try:
                self.model = self.call("/v1/models")["data"][0]["id"]
                self.complete([1], 1)
                return time.monotonic() - self.started
            except (urllib.error.URLError, ConnectionError) as error:
                if not self.process:
                    raise Unusable(f"{self.url}: {error}") from error
                time.sleep(0.1)

    def complete(self, prompt, n_tokens):
        """Waits for a reply of exactly `n_tokens` tokens."""
        body = {"model": self.model, "prompt": prompt, "max_tokens": n_tokens, "temperature": 0, "ignore_eos": True}
        usage = self.call("/v1/completions", body).get("usage", {})
        if (usage.get("prompt_tokens"), usage.get("completion_tokens")) != (len(prompt), n_tokens):
            raise Unusable(f"asked for {n_tokens} tokens after {len(prompt)}, got {usage}")

    def complete_all(self, prompts, n_tokens):
        """Seconds until every prompt has its reply, all sent at once."""
        with concurrent.futures.ThreadPoolExecutor(min(len(prompts), MAX_IN_FLIGHT)) as pool:
            start = time.monotonic()
            for done in [pool.submit(self.complete, prompt, n_tokens) for prompt in prompts]:
                done.result()
            return time.monotonic() - start

    def call(self, path, body=None):
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, json.dumps(body).encode() if body else None, headers)
        try:
            with urllib.request.urlopen(request) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code == LOADING:
                raise
            said = error.read(300).decode(errors="replace")
            raise Unusable(f"{self.url}{path}: {error.code}: {said}") from error

    def peak_bytes(self):
        """The most memory that each process of the server ever held, added up; Linux alone says it."""
        if not self.process:
            return None
        family = [self.process.pid]
        for pid in family:
            tasks = pathlib.Path(f"/proc/{pid}/task")
            family += [int(child) for task in tasks.glob("*/children") for child in task.read_text().split()]
        statuses = [pathlib.Path(f"/proc/{pid}/status") for pid in family]
        lines = [line for status in statuses if status.exists() for line in status.read_text().splitlines()]
        peaks = [int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")]
        return sum(peaks) if peaks else None


def measure(what, count, name, value, unit):
    print(f"{name}: {value:.4g} {unit}", file=sys.stderr)
    return {"name": name, "what": what, "count": count, "value": value, "unit": unit}


def prefill(n_tokens, rate):
    return measure("prefill", n_tokens, f"prefill of {n_tokens} tokens", rate, "tok/s")


def decode(n_streams, rate):
    return measure("decode", n_streams, f"decode, {n_streams} streams", rate, "tok/s")


def measures(server, args, spread=lambda: None):
    """All figures of a server, in the order in which they are measured.

    `spread` is called once the prefix is computed, for servers that have to be told to keep it for all requests.
    """
    prompts = Prompts(args.prefix, args.vocabulary)
    ready = server.ready()
    start = time.monotonic()
    server.complete(prompts.prefix, 1)
    seconds = time.monotonic() - start
    spread()
    found = [prefill(args.prefix, args.prefix / seconds)]
    if server.process:
        found.append(measure("start", None, "first token after the start", ready + seconds, "s"))
    seconds = server.complete_all([prompts.behind(2**48, OWN_TOKENS)], 1)
    found.append(measure("first_token", None, "first token behind the prefix", seconds, "s"))
    for n_streams in streams_of(args):
        found.append(decode(n_streams, decode_rate(server, prompts, n_streams)))
    if args.items > 0:
        items = [prompts.behind(number, args.item_tokens) for number in range(args.items)]
        seconds = server.complete_all(items, args.generate)
        name, rate = f"{args.items} items", 60 * args.items / seconds
        found.append(measure("workload", args.items, name, rate, "items/min"))
    return found


def decode_rate(server, prompts, n_streams):
    """Tokens a second of all streams: what more tokens take longer than one, which comes out of the prompt."""
    def seconds(round_idx, n_tokens):
        numbers = range(round_idx * n_streams, (round_idx + 1) * n_streams)
        return server.complete_all([prompts.behind(number << 32, OWN_TOKENS) for number in numbers], n_tokens)

    # In the first round places of the server may have to learn the prefix.
    _, once, more = seconds(0, 1), seconds(1, 1), seconds(2, 1 + DECODE_TOKENS)
    if more <= once:
        raise Unusable(f"{n_streams} streams took {once:.3g} s for one token and {more:.3g} s for {1 + DECODE_TOKENS}")
    return n_streams * DECODE_TOKENS / (more - once)


def report(args, program, found, peak_bytes):
    """To stdout, in the form of `safeguard bench`."""
    sizes = {"prefix_tokens": args.prefix, "items": args.items, "item_tokens": args.item_tokens,
             "generated_tokens": args.generate}
    if args.json:
        memory = {"peak_bytes": peak_bytes}
        print(json.dumps({"program": program, "sizes": sizes, "measures": found, "memory": memory}, indent=2))
        return
    for figure in found:
        print(f"{figure['name']:32} {figure['value']:10.4g} {figure['unit']}")
    if peak_bytes:
        print(f"{'memory at most':32} {peak_bytes / 1e9:10.4g} GB")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="where the server listens (%(default)s)")
    flags(parser)
    parser.add_argument("command", nargs="*", help=argparse.SUPPRESS)
    args = parser.parse_args()
    with Server(args.url, args.command) as server:
        found = measures(server, args)
        report(args, server.model, found, server.peak_bytes())


def run(main):
    """Runs a program of this folder; what cannot be measured ends with 2."""
    # Ends like an error, so that a server started for it ends too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        main()
    except (Unusable, OSError, subprocess.CalledProcessError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    run(main)
