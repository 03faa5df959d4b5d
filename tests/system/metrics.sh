#!/bin/bash
# /metrics as Prometheus reads it, the alert rules, and a real Prometheus that scrapes a real
# coordinator. What would break for a user: a dashboard that stays empty, alerts that never rise or
# never end, figures over the net for whoever asks.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/system/lib/programs.sh

coordinator_first
synthetic dataset
small_spec 60 20 20 >"$dir/spec.ini"
synthetic run shown "$dir/spec.ini"

# Nobody needs a token for figures on loopback, and gets nothing else.
metrics() { curl -sf "$TACIT_URL/metrics" >"$dir/metrics"; }
metrics || fail "/metrics does not answer without a token on loopback"
[ "$(curl -s -o /dev/null -w '%{http_code}' "$TACIT_URL/v1/status")" = 401 ] || fail "/v1/status is open"
[ "$(curl -s -o /dev/null -w '%{http_code}' -X POST "$TACIT_URL/metrics")" = 401 ] || fail "POST /metrics"
[ "$(curl -s -o /dev/null -w '%{http_code}' -H 'Authorization: Bearer wrong' "$TACIT_URL/metrics")" = 401 ] ||
    fail "a wrong token is taken for none"
promtool check metrics <"$dir/metrics" || fail "promtool finds fault with /metrics"
grep -q '^tacit_runs{state="active"} 1$' "$dir/metrics" || fail "the run is not counted"
grep -q '^tacit_run_progress_ratio{run="shown"} ' "$dir/metrics" || fail "the run is not shown"
grep -q '^tacit_jobs{state="waiting"} [1-9]' "$dir/metrics" || fail "waiting jobs are not counted"

cp ops/deploy/alerts.yml tests/system/alerts_test.yml "$dir/"
promtool check rules "$dir/alerts.yml" || fail "promtool finds fault with the rules"
(cd "$dir" && promtool test rules alerts_test.yml) || fail "an alert does not rise when it should"

# Prometheus itself, with the configuration that operators are given, sooner than theirs.
web=$(service_port)
sed -e "s/127.0.0.1:8420/127.0.0.1:$port/" -e 's/scrape_interval: .*/scrape_interval: 1s/' \
    ops/deploy/prometheus.yml >"$dir/prometheus.yml"
promtool check config "$dir/prometheus.yml" || fail "promtool finds fault with prometheus.yml"
prometheus --config.file="$dir/prometheus.yml" --storage.tsdb.path="$dir/tsdb" \
    --web.listen-address="127.0.0.1:$web" >"$dir/prometheus.log" 2>&1 &
pids+=($!)
# asked QUERY: its value, "" where there is none.
asked() {
    curl -sf "http://127.0.0.1:$web/api/v1/query" --data-urlencode "query=$1" |
        jq -r '.data.result[0].value[1] // ""'
}
is() { [ "$(asked "$1")" = "$2" ]; }
until_true is 'up{job="tacit"}' 1 || fail "Prometheus does not reach the coordinator"
is 'tacit_runs{state="active"}' 1 || fail "Prometheus has no runs"
agent worker
synthetic wait shown 120
until_true is 'tacit_runs{state="done"}' 1 || fail "Prometheus does not see the run end"
until_true is 'sum(tacit_jobs)' 0 || fail "jobs are left"
is 'tacit_http_responses_total{code="5xx"}' 0 || fail "there were failures of the coordinator"
