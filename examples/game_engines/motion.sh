#!/usr/bin/env bash
# A prompt becomes a GLB file through the HTTP API of a running studio: ask, wait, fetch.
#
#     exuvia studio                                  # in another terminal
#     bash motion.sh "a person waves" wave.glb       # for a remote studio: EXUVIA_URL and EXUVIA_TOKEN
set -euo pipefail

prompt=${1:?give a prompt} target=${2:?give a file name such as wave.glb}
url=${EXUVIA_URL:-http://127.0.0.1:8010}/api/v1
ask=(curl --silent --fail-with-body --header "authorization: Bearer ${EXUVIA_TOKEN:-}")

# The value at a path of keys in the JSON on standard input.
value() { python3 -c 'import functools, json, sys
step = lambda it, key: it[int(key) if isinstance(it, list) else key]
print(functools.reduce(step, sys.argv[1:], json.load(sys.stdin)))' "$@"; }

# The studio's answer; where it refuses, its sentence and the end.
answer() {
  local said
  if ! said=$("${ask[@]}" "$@"); then
    if [ -n "$said" ]; then value detail <<<"$said" >&2; else echo "no studio answers at $url" >&2; fi
    exit 1
  fi
  echo "$said"
}

body=$(python3 -c 'import json, sys; print(json.dumps({"prompts": [sys.argv[1]], "seeds": [0]}))' "$prompt")
job=$(answer --header 'content-type: application/json' --data "$body" "$url/motion")
for _ in $(seq 240); do
  case $(value state <<<"$job") in
    done) break ;;
    failed | cancelled) value message <<<"$job" >&2; exit 1 ;;
  esac
  sleep 0.5
  job=$(answer "$url/jobs/$(value id <<<"$job")")
done
[ "$(value state <<<"$job")" = done ] || { echo "the motion is not ready after two minutes" >&2; exit 1; }
file="$url/motions/$(value result motions 0 <<<"$job")/file?form=${target##*.}&foot_lock=true"
if ! "${ask[@]}" --output "$target.part" "$file"; then
  value detail <"$target.part" >&2 2>/dev/null || echo "cannot write $target" >&2
  rm -f "$target.part"
  exit 1
fi
mv "$target.part" "$target"
echo "wrote $target"
