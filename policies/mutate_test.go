package policies_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse/gatehouse/policies"
)

func mutating(name, rule string, metadata ...string) string {
	return strings.Replace(onPods(name, rule, metadata...), "type: validate", "type: mutate", 1)
}

func TestMutate(t *testing.T) {
	e := engineWith(t, "policies: [{name: add-labels, action: deny, parameters: {labels: {team: red}}}]",
		mutating("a_first", `patch contains {"op": "add", "path": "/metadata/annotations", "value": {"order": "first", "count": 1.5}}`),
		mutating("b_second", `patch := [
	{"op": "test", "path": "/metadata/annotations/order", "value": "first"},
	{"op": "replace", "path": "/metadata/annotations/order", "value": "second"},
	{"op": "remove", "path": "/spec/containers/0/ports"},
]`),
		mutating("c_nothing", `patch contains {"op": "replace", "path": "/metadata/name", "value": "my-awesome-pod"}`))
	r := podReview(nginx())
	got, changed, err := e.Mutate(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a-first", "add-labels", "b-second"}, changed); diff != "" {
		t.Error(diff)
	}
	want := nginx()
	want["metadata"] = map[string]any{
		"name": "my-awesome-pod", "namespace": "default",
		"annotations": map[string]any{"order": "second", "count": 1.5}, "labels": map[string]any{"team": "red"},
	}
	want["spec"] = map[string]any{"containers": []any{map[string]any{"name": "nginx", "image": "nginx:latest"}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(nginx(), r.Object); diff != "" {
		t.Errorf("the review's own object was changed: %s", diff)
	}
}

// TestMutateKeepsIntegers guards against numbers that become floating point on their way through a patch.
func TestMutateKeepsIntegers(t *testing.T) {
	e := engineWith(t, "", mutating("m", `patch contains {"op": "add", "path": "/spec/priority", "value": 7}`))
	pod := nginx()
	pod["spec"].(map[string]any)["runAsUser"] = int64(1) << 60
	got, _, err := e.Mutate(t.Context(), podReview(pod))
	if err != nil {
		t.Fatal(err)
	}
	spec := got["spec"].(map[string]any)
	if spec["runAsUser"] != int64(1)<<60 || spec["priority"] != int64(7) {
		t.Errorf("got %v", spec)
	}
}

func TestMutateRefuses(t *testing.T) {
	for name, test := range map[string]struct{ rule, want string }{
		"another name":          {`patch contains {"op": "replace", "path": "/metadata/name", "value": "x"}`, "changes metadata.name"},
		"another namespace":     {`patch contains {"op": "replace", "path": "/metadata/namespace", "value": "x"}`, "changes metadata.namespace"},
		"another kind":          {`patch contains {"op": "replace", "path": "/kind", "value": "Secret"}`, "changes apiVersion or kind"},
		"no metadata":           {`patch contains {"op": "remove", "path": "/metadata"}`, "changes metadata.name"},
		"a uid":                 {`patch contains {"op": "add", "path": "/metadata/uid", "value": "x"}`, "changes metadata.uid"},
		"an object in place":    {`patch contains {"op": "replace", "path": "", "value": []}`, ""},
		"copy, which can grow":  {`patch contains {"op": "copy", "from": "/spec", "path": "/x"}`, "none of add, replace, remove and test"},
		"a path that is absent": {`patch contains {"op": "remove", "path": "/spec/nosuch"}`, "nosuch"},
		"too many operations":   {"patch contains {\"op\": \"test\", \"path\": sprintf(\"/%d\", [x]), \"value\": 1} if {\n\tsome a in split(\"0123456789abcdefghijklmnopqrstuv\", \"\")\n\tsome b in split(\"0123456789abcdefghijklmnopqrstuv\", \"\")\n\tx := [a, b]\n}", "the limit is 256"},
		"an answer of no form":  {`patch := "x"`, "patch is string"},
		"a failing builtin":     {`patch contains {"op": "remove", "path": input.name} if to_number(input.name) > 1`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			e := engineWith(t, "", mutating("m", test.rule))
			got, _, err := e.Mutate(t.Context(), podReview(nginx()))
			var failed *policies.PolicyError
			if !errors.As(err, &failed) || failed.Policy != "m" || !strings.Contains(err.Error(), test.want) || got != nil {
				t.Errorf("got %v, %v, want %s", got, err, test.want)
			}
			ignoring := engineWith(t, "", mutating("m", test.rule, "failurePolicy: Ignore"))
			got, changed, err := ignoring.Mutate(t.Context(), podReview(nginx()))
			if got != nil || len(changed) > 0 || err != nil {
				t.Errorf("with failurePolicy Ignore: %v, %v, %v", got, changed, err)
			}
		})
	}
}
