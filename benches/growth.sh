#!/bin/sh
# How speed grows with streams, prefix and items: runs of `safeguard bench`, each in a file of its own, for
# `cargo xtask plots FOLDER`. Runs whose file is there are not repeated.
#
#   benches/growth.sh FOLDER NAME [FLAGS OF bench...]
#
# NAME begins the files' names: another for every model and arithmetic. What is measured, the dearest last:
#   STREAMS   streams behind 1,024 tokens, in one run    (1,2,4,8,16,32,64,128)
#   PREFIXES  tokens of the prefix, a run for each       (1 1024 2048 4096 8192)
#   ITEMS     items of the workload, a run for each      (10 30 100 300 1000)
# SAFEGUARD names the program.
set -eu
folder=$1 name=$2
shift 2
safeguard=${SAFEGUARD:-safeguard}

# measure FILE FLAGS...: the file appears when the run is done.
measure() {
    file=$folder/$1
    shift
    [ -e "$file" ] && return
    mkdir -p "$(dirname "$file")"
    echo "$(date +%T) $file" >&2
    "$safeguard" bench --json "$@" >"$file.part"
    mv "$file.part" "$file"
}

measure "streams/$name.json" "$@" --streams "${STREAMS-1,2,4,8,16,32,64,128}" --items 0
for n in ${PREFIXES-1 1024 2048 4096 8192}; do
    measure "prefix/$name-$n.json" "$@" --prefix "$n" --streams 1,32 --items 0
done
for n in ${ITEMS-10 30 100 300 1000}; do
    measure "items/$name-$n.json" "$@" --items "$n" --streams 0
done
