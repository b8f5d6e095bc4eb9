package webhook_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/admission"
)

func again(h *admissionregistrationv1.MutatingWebhook) {
	p := admissionregistrationv1.IfNeededReinvocationPolicy
	h.ReinvocationPolicy = &p
}

// TestMutatingOrder has webhooks run by name of configuration and then position, and those that ask for it once more if a later one changed something.
func TestMutatingOrder(t *testing.T) {
	label := func(name string) answer { return patches(`[{"op":"add","path":"/data/` + name + `","value":"x"}]`) }
	s := serve(t, map[string]answer{"/a": label("one"), "/b": label("two"), "/c": label("three"), "/d": allows()})
	m := newMutating(t, mutatingOf("z", s.hook("/c", nil), s.hook("/d", again)), mutatingOf("y", s.hook("/b", again), s.hook("/a", nil)))
	a := create(t)
	a.Object.(*corev1.ConfigMap).ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubectl"}}
	if err := (&admission.Chain{Mutators: []admission.Mutator{m}}).Mutate(t.Context(), a.Attributes); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"/b", "/a", "/c", "/d", "/b"}, s.paths()); diff != "" {
		t.Error(diff)
	}
	got := a.Object.(*corev1.ConfigMap)
	if diff := cmp.Diff(map[string]string{"a": "b", "one": "x", "two": "x", "three": "x"}, got.Data); diff != "" {
		t.Error(diff)
	}
	if got.Labels["defaulted"] != "yes" || len(got.ManagedFields) != 1 || got.Kind != "" {
		t.Errorf("%+v", got)
	}
	if !strings.Contains(string(s.seen[2].Object.Raw), `"two":"x"`) {
		t.Errorf("the third saw %s", s.seen[2].Object.Raw)
	}
	const at = "mutation.webhook.admission.k8s.io/round_"
	want := map[string]string{
		at + "0_index_0": `{"configuration":"y","webhook":"b.example.org","mutated":true}`,
		at + "0_index_1": `{"configuration":"y","webhook":"a.example.org","mutated":true}`,
		at + "0_index_2": `{"configuration":"z","webhook":"c.example.org","mutated":true}`,
		at + "0_index_3": `{"configuration":"z","webhook":"d.example.org","mutated":false}`,
		at + "1_index_0": `{"configuration":"y","webhook":"b.example.org","mutated":false}`,
	}
	if diff := cmp.Diff(want, a.annotations); diff != "" {
		t.Error(diff)
	}
}

// TestPatches guards that a patch that cannot be applied refuses whatever the failure policy is, and one that is none only with Fail.
func TestPatches(t *testing.T) {
	for name, test := range map[string]struct {
		answer       answer
		fail, ignore string // beginnings
	}{
		"no patch":          {patches("x"), failing + "received undecodable patch in webhook response: ", ""},
		"an empty one":      {patches("[]"), "", ""},
		"of nothing":        {patches(`[{"op":"remove","path":"/data/none"}]`), "500 InternalError Internal error occurred: ", "500 InternalError "},
		"to another kind":   {patches(`[{"op":"replace","path":"/kind","value":"Secret"}]`), "500 InternalError ", "500 InternalError "},
		"to no object":      {patches(`[{"op":"replace","path":"/data","value":3}]`), "500 InternalError ", "500 InternalError "},
		"too many":          {patches("[" + strings.Repeat(`{"op":"test","path":"/data/a","value":"b"},`, 10_000) + `{"op":"remove","path":"/data/a"}]`), failing + "received undecodable patch", ""},
		"a bomb":            {patches(bomb()), "500 InternalError ", "500 InternalError "},
		"without its type":  {says(admissionv1.AdmissionResponse{Allowed: true, Patch: []byte("[]")}), failing + "received invalid webhook response: webhook returned response.patch but not", ""},
		"a type without it": {says(admissionv1.AdmissionResponse{Allowed: true, PatchType: ptr(admissionv1.PatchTypeJSONPatch)}), failing + "received invalid webhook response: webhook returned response.patchType but not", ""},
		"of another type": {
			says(admissionv1.AdmissionResponse{Allowed: true, Patch: []byte(`[{"op":"remove","path":"/data"}]`), PatchType: ptr(admissionv1.PatchType("Merge"))}), failing + `unsupported patch type "Merge"`, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, map[string]answer{"/x": test.answer})
			for i, want := range []string{test.fail, test.ignore} {
				change := []func(*admissionregistrationv1.MutatingWebhook){nil, ignore}[i]
				a := create(t)
				before := a.Object.DeepCopyObject()
				got := text(t, newMutating(t, mutatingOf("c", s.hook("/x", change))).Mutate(t.Context(), a.Attributes))
				if (want == "") != (got == "") || !strings.HasPrefix(got, want) {
					t.Errorf("%d: got %s", i, got)
				}
				if diff := cmp.Diff(before, a.Object); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

// bomb doubles a text of the object again and again.
func bomb() string {
	ops := []map[string]string{{"op": "add", "path": "/data/a", "value": strings.Repeat("x", 1<<10)}}
	for range 20 {
		ops = append(ops, map[string]string{"op": "copy", "from": "/data", "path": "/data/b"}, map[string]string{"op": "copy", "from": "/data", "path": "/data/c"})
	}
	data, err := json.Marshal(ops)
	if err != nil {
		panic(err)
	}
	return string(data)
}

// TestMutatingDenies guards that the webhooks after the one that denies are not asked.
func TestMutatingDenies(t *testing.T) {
	s := serve(t, map[string]answer{"/x": raw(http.StatusInternalServerError, "boom"), "/y": says(admissionv1.AdmissionResponse{}), "/z": allows()})
	a := create(t)
	got := text(t, newMutating(t, mutatingOf("c", s.hook("/x", ignore), s.hook("/y", ignore), s.hook("/z", nil))).Mutate(t.Context(), a.Attributes))
	if got != `400  admission webhook "y.example.org" denied the request without explanation` {
		t.Error(got)
	}
	if diff := cmp.Diff([]string{"/x", "/y"}, s.paths()); diff != "" {
		t.Error(diff)
	}
	if a.annotations["failed-open.mutation.webhook.admission.k8s.io/round_0_index_0"] != "x.example.org" {
		t.Error(a.annotations)
	}
}

// TestPatchOfADelete guards that there is nothing to change.
func TestPatchOfADelete(t *testing.T) {
	s := serve(t, map[string]answer{"/x": patches(`[{"op":"add","path":"/data","value":{}}]`)})
	a := create(t)
	a.Operation, a.Object, a.OldObject = admission.Delete, nil, a.Object
	const want = `500 InternalError Internal error occurred: admission webhook "x.example.org" attempted to modify the object, which is not supported for this operation`
	if got := text(t, newMutating(t, mutatingOf("c", s.hook("/x", ignore))).Mutate(t.Context(), a.Attributes)); got != want {
		t.Error(got)
	}
}
