"""Measures vLLM on a CPU as `safeguard bench` measures its own engine, over HTTP.

Its product of MXFP4 needs a Xeon with AMX. vLLM shares a prefix among all requests by itself.
"""

import argparse
import os

import completions


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, metavar="DIR", help="a checkpoint in the published layout")
    parser.add_argument("--vllm", default="vllm", metavar="PROGRAM", help="(%(default)s)")
    parser.add_argument("--cores", default=f"0-{os.cpu_count() - 1}", metavar="A-B", help="to compute on (%(default)s)")
    parser.add_argument("--kv-gb", type=int, default=2, metavar="N", help="memory for keys and values (%(default)s)")
    parser.add_argument("--port", type=int, default=8091, metavar="N", help="(%(default)s)")
    completions.flags(parser)
    parser.add_argument("more", nargs="*", metavar="-- FLAG", help="further flags for vllm serve")
    args = parser.parse_args()
    # Left to itself it keeps a core free for others, which is half of a machine with two.
    environment = {**os.environ, "VLLM_CPU_OMP_THREADS_BIND": args.cores, "VLLM_CPU_KVCACHE_SPACE": str(args.kv_gb)}
    with completions.Server(f"http://127.0.0.1:{args.port}", serve(args), environment) as server:
        found = completions.measures(server, args)
        completions.report(args, "vLLM", found, server.peak_bytes())


def serve(args):
    n_context = args.prefix + args.item_tokens + args.generate + 64
    n_sequences = max([args.items, *completions.streams_of(args)], default=1)
    return [args.vllm, "serve", args.model, "--host", "127.0.0.1", "--port", str(args.port), "--dtype", "bfloat16",
            "--max-model-len", str(n_context), "--max-num-seqs", str(n_sequences), *args.more]


if __name__ == "__main__":
    completions.run(main)
