#!/usr/bin/env bash
# Runs the functions that Kubernetes' legacy-script.sh records, in the directory it is in, and writes "name exit-code seconds" for each to $RESULTS.
# The servers run already: SECURE_API_PORT is that of the API server, which knows the token admin-token. LEFT_OUT and ONLY are lists of functions.
cd "$SUITE_ROOT" || exit 1
: > "$RESULTS"
source hack/lib/init.sh
set +o errexit # A dumb terminal has no colours, which test.sh asks for.
source hack/lib/test.sh
# ALLOW_SKEW: kubectl's --match-server-version wants a server of the commit that it was built from.
export ALLOW_SKEW=1 SED=sed SUPPORTED_RESOURCES=("*")
source test/cmd/legacy-script.sh > /dev/null 2>&1
set +o errexit +o nounset
trap - ERR
trap 'stop-proxy > /dev/null 2>&1' EXIT
KUBE_TEMP=$HOME

CONTEXT=test
{
  kubectl config set-credentials test-admin --token admin-token
  kubectl config set-cluster local --insecure-skip-tls-verify --server "https://127.0.0.1:$SECURE_API_PORT"
  kubectl config set-context test --user test-admin --cluster local
  kubectl config use-context test
} > /dev/null
# In place of AlwaysAllow; the-group is that of a SubjectAccessReview.
kubectl create clusterrolebinding suite --clusterrole=cluster-admin --group=system:authenticated --group=the-group > /dev/null || exit 1
kubectl create -f - > /dev/null << __EOF__ || exit 1
{"kind": "Node", "apiVersion": "v1", "metadata": {"name": "127.0.0.1", "annotations": {"save-managers": "true"}}, "status": {"capacity": {"memory": "1Gi"}}}
__EOF__

# Replaces the function that records results in JUnit's form, and bounds each of them.
record_command() {
  local name=$1 began=$SECONDS
  [[ " $LEFT_OUT " != *" $name "* ]] || return 0
  [[ -z "$ONLY" || " $ONLY " == *" $name "* ]] || return 0
  set +o errexit +o nounset
  (
    self=$BASHPID
    { sleep "$LIMIT"; kill "$self"; } > /dev/null 2>&1 &
    watchdog=$!
    trap 'kill "$watchdog"' EXIT
    set -o xtrace
    "$@"
  ) > "$LOGS/$name.log" 2>&1
  echo "$name $? $((SECONDS - began))" >> "$RESULTS"
  set -o nounset -o errexit
}

# What stands between the functions is a test too.
(
  set -o xtrace -o errexit
  runTests
) > "$LOGS/runTests.log" 2>&1
echo "runTests $? 0" >> "$RESULTS"
