#!/bin/bash
# The description of the API: linted, and walked against a real coordinator with a run and an agent.
# What would break for a user: a client program made from a description that is not true; a request
# that a coordinator does not survive.  REQUESTS=n SEED=k walks further.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/system/lib/programs.sh

"$BIN/tacitd" --openapi >"$dir/openapi.json" || fail "tacitd --openapi"
lint=build/npm/test/node_modules/.bin/redocly
if [ -x $lint ]; then
    # /healthz alone answers everybody, and refuses nobody.
    REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true $lint lint --extends recommended-strict \
        --skip-rule operation-4xx-response "$dir/openapi.json" >"$dir/lint.log" 2>&1 || {
        cat "$dir/lint.log"
        fail "the description is no clean OpenAPI 3.1"
    }
fi
coordinator_first --log-format json --log-level debug
synthetic dataset
small_spec 40 20 20 >"$dir/spec.ini"
synthetic run walked "$dir/spec.ini"
agent worker
synthetic wait walked 120
TACIT_DATA=$dir/data python3 tests/system/api_walk.py "${REQUESTS:-1500}" "${SEED:-1}" || fail "the walk"
curl -sf "$TACIT_URL/healthz" >/dev/null || fail "the coordinator did not survive it"

# One request's id goes from its sender through the answer into the log and the problem.
problem=$(curl -s -D "$dir/head" -H 'X-Request-Id: walk-7' "$TACIT_URL/v1/runs/none")
jq -e '.instance == "urn:tacit:request:walk-7"' <<<"$problem" >/dev/null || fail "the problem: $problem"
grep -qi '^x-request-id: walk-7' "$dir/head" || fail "no id in the answer"
grep -h '^{' "$dir/tacitd.log" | jq -se 'map(select(.id == "walk-7" and .status == 401)) | length == 1' >/dev/null ||
    fail "the log does not know the request"
curl -s -o /dev/null -D "$dir/head" -H 'X-Request-Id: a b"c' "$TACIT_URL/v1/runs"
grep -qiE '^x-request-id: [0-9a-f]{16}' "$dir/head" || fail "an insane id is taken over"
echo "all well"
