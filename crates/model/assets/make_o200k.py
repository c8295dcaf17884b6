"""Packs `o200k_base.tiktoken` into `o200k.tokens`: python make_o200k.py o200k_base.tiktoken"""

import base64
import hashlib
import pathlib
import sys

EXPECTED = "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"

source = pathlib.Path(sys.argv[1]).read_bytes()
if hashlib.sha256(source).hexdigest() != EXPECTED:
    sys.exit("this is not the published o200k_base.tiktoken")
packed = bytearray()
for rank, line in enumerate(source.splitlines()):
    token, number = line.split()
    assert int(number) == rank
    word = base64.b64decode(token)
    packed += bytes([len(word)]) + word
pathlib.Path(__file__).with_name("o200k.tokens").write_bytes(packed)
