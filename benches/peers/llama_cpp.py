"""Measures llama.cpp as `safeguard bench` measures its own engine.

llama-batched-bench gives prefill and decoding, the prefix being computed once and shared by all streams; llama-server
gives the start, the first token, the workload and memory, over HTTP. Every slot of it keeps the prefix: it is computed
in one slot, saved, and restored in the others.
"""

import argparse
import json
import os
import pathlib
import subprocess
import tempfile

import completions


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=pathlib.Path, required=True, metavar="DIR", help="where its programs lie")
    parser.add_argument("--gguf", type=pathlib.Path, required=True, metavar="FILE", help="the model")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), metavar="N", help="(%(default)s)")
    parser.add_argument("--slots", type=int, default=32, metavar="N", help="items that it judges at once (%(default)s)")
    parser.add_argument("--port", type=int, default=8090, metavar="N", help="(%(default)s)")
    completions.flags(parser)
    parser.add_argument("more", nargs="*", metavar="-- FLAG", help="further flags for its programs")
    args = parser.parse_args()
    model = ["-m", str(args.gguf), "-t", str(args.threads), "-tb", str(args.threads), "-fa", "on", *args.more]
    found = batched(args, model) if completions.streams_of(args) else []
    # What the other program measured without HTTP is not measured again.
    args.streams = "0"
    url = f"http://127.0.0.1:{args.port}"
    with tempfile.TemporaryDirectory() as folder, completions.Server(url, serve(args, model, folder)) as server:
        served = completions.measures(server, args, lambda: spread(server, args))
        found += [figure for figure in served if figure["what"] != "prefill" or not found]
        completions.report(args, "llama.cpp", found, server.peak_bytes())


def batched(args, model):
    """Prefill and decoding, straight through the library."""
    streams = completions.streams_of(args)
    n_context = args.prefix + max(streams) * completions.DECODE_TOKENS
    command = [str(args.bin / "llama-batched-bench"), *model, "-c", str(n_context), "-b", "2048", "-ub", "512", "-kvu", "-pps",
               "-npp", str(args.prefix), "-ntg", str(completions.DECODE_TOKENS), "-npl", ",".join(map(str, streams)),
               "--output-format", "jsonl"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    # It computes the prefix anew for every number of streams; the best one counts, as nothing makes it faster.
    found = [completions.prefill(args.prefix, max(row["speed_pp"] for row in rows))]
    return found + [completions.decode(row["pl"], row["speed_tg"]) for row in rows]


def serve(args, model, folder):
    """The server in which every slot keeps the prefix: all of the window's keys stay, and no slot gives way to another."""
    n_context = args.prefix + args.item_tokens + args.generate + 64
    return [str(args.bin / "llama-server"), *model, "-np", str(args.slots), "-c", str(args.slots * n_context),
            "--no-kv-unified", "--swa-full", "--cache-ram", "0", "--slot-save-path", folder, "-b", "2048", "-ub", "512",
            "--host", "127.0.0.1", "--port", str(args.port)]


def spread(server, args):
    """Copies the prefix from the slot that computed it to all others."""
    def act(slot, action):
        return server.call(f"/slots/{slot}?action={action}", {"filename": "prefix"})

    slots = range(args.slots)
    if not any(act(slot, "save")["n_saved"] >= args.prefix for slot in slots):
        raise completions.Unusable("no slot of llama-server kept the prefix")
    for slot in slots:
        if act(slot, "restore")["n_restored"] < args.prefix:
            raise completions.Unusable(f"slot {slot} of llama-server did not take the prefix")


if __name__ == "__main__":
    completions.run(main)
