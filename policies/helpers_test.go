package policies_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/policies"
)

// patient is a timeout that a busy machine does not reach; only tests of the timeout itself use another.
const patient = 10 * time.Minute

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// engineWith returns an engine with no policies but those of the configuration's entries and of the sources, which are Rego texts.
func engineWith(t testing.TB, entries string, sources ...string) *policies.Engine {
	t.Helper()
	e, err := policies.New(policies.Options{NoDefaults: true, Timeout: patient})
	if err != nil {
		t.Fatal(err)
	}
	load(t, e, entries, sources...)
	return e
}

func load(t testing.TB, e *policies.Engine, entries string, sources ...string) {
	t.Helper()
	if err := e.LoadBundle(bundle(t, entries, sources...)); err != nil {
		t.Fatal(err)
	}
}

func bundle(t testing.TB, entries string, sources ...string) policies.Bundle {
	t.Helper()
	var b policies.Bundle
	for i, s := range sources {
		b.Sources = append(b.Sources, policies.Source{Name: string(rune('a'+i)) + ".rego", Text: []byte(s)})
	}
	if entries != "" {
		c, err := policies.ParseConfiguration([]byte("apiVersion: policy.gatehouse.dev/v1alpha1\nkind: PolicyConfiguration\n" + entries))
		if err != nil {
			t.Fatal(err)
		}
		b.Config = c
	}
	return b
}

// podReview is a CREATE of the pod by alice in the namespace default.
func podReview(pod map[string]any) *policies.Review {
	return &policies.Review{
		Operation: "CREATE", Version: "v1", Kind: "Pod", Resource: "pods", Namespace: "default", Name: "web",
		User: api.User{Name: "alice", Groups: []string{api.GroupAuthenticated}}, Object: pod,
	}
}

// nginx is the pod of the first story, as a beginner writes it.
func nginx() map[string]any {
	return map[string]any{
		"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "my-awesome-pod", "namespace": "default"},
		"spec": map[string]any{"containers": []any{map[string]any{
			"name": "nginx", "image": "nginx:latest", "ports": []any{map[string]any{"containerPort": int64(80)}},
		}}},
	}
}

func privileged() map[string]any { return withPrivileged(true) }

// unprivileged is a pod that violates nothing, but has a field that policies ask for.
func unprivileged() map[string]any { return withPrivileged(false) }

func withPrivileged(yes bool) map[string]any {
	pod := nginx()
	pod["spec"].(map[string]any)["containers"].([]any)[0].(map[string]any)["securityContext"] = map[string]any{"privileged": yes}
	return pod
}
