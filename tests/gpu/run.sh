#!/usr/bin/env bash
# Checks a GPU with what `deno task gpu --pack` put beside this file. Arguments are those of tests/gpu/main.ts; DENO names
# another Deno than the one that is carried. Prints a table; the exit code is 1 when anything is wrong.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

folder=$here
if [ -f "$here/bowline.tar.xz" ]; then
  folder=$here/unpacked
  # Python, since xz may be missing
  [ -f "$folder/config.json" ] || python3 -c 'import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2])' \
    "$here/bowline.tar.xz" "$folder"
elif [ ! -f "$here/config.json" ]; then
  echo "Cannot check the GPU: there is no bowline.tar.xz beside $0; wanted a folder of deno task gpu --pack" >&2
  exit 2
fi

golden=()
[ -d "$folder/golden" ] && golden=(--golden "$folder/golden")
chmod +x "$folder/ops"
export DENO_DIR=$folder/deno-cache DENO_NO_UPDATE_CHECK=1
exec "${DENO:-$folder/deno}" run --quiet --no-prompt --no-check --no-lock --cached-only --node-modules-dir=manual \
  --config "$folder/config.json" -A "$folder/tests/gpu/main.ts" --ops "$folder/ops" "${golden[@]}" "$@"
