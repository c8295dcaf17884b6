"""Reads a repository from the cache with huggingface_hub, without a network; prints what it finds."""

import json
import sys

from huggingface_hub import scan_cache_dir, snapshot_download

repo_id, commit = sys.argv[1:]
snapshot = snapshot_download(repo_id, local_files_only=True)
assert snapshot == snapshot_download(repo_id, revision=commit, local_files_only=True)
cache = scan_cache_dir()
(repo,) = cache.repos
(revision,) = repo.revisions
assert repo.repo_id == repo_id and repo.repo_type == "model"
print(
    json.dumps(
        {
            "snapshot": snapshot,
            "files": sorted(file.file_name for file in revision.files),
            "revisions": [[revision.commit_hash, sorted(revision.refs)]],
            "warnings": [str(warning) for warning in cache.warnings],
        }
    )
)
