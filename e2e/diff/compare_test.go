package diff_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/rest"

	"github.com/gatehouse/gatehouse/e2e/diff"
)

// answers asks two servers that say the given JSON with the given status.
func answers(t *testing.T, status int, kube, ours string) (diff.Answer, diff.Answer) {
	t.Helper()
	pair := canned(t, func(w http.ResponseWriter, _ *http.Request, body string) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}, kube, ours)
	get := diff.Request{Method: http.MethodGet, Path: "/"}
	return pair.Kube.Ask(t.Context(), get), pair.Ours.Ask(t.Context(), get)
}

// canned is a pair of servers that serve says what to answer; each has a text of its own.
func canned(t *testing.T, serve func(http.ResponseWriter, *http.Request, string), kube, ours string) *diff.Pair {
	t.Helper()
	target := func(name, text string) *diff.Target {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { serve(w, r, text) }))
		t.Cleanup(server.Close)
		target, err := diff.TargetFor(name, &rest.Config{Host: server.URL})
		if err != nil {
			t.Fatal(err)
		}
		return target
	}
	return &diff.Pair{Kube: target("kube", kube), Ours: target("ours", ours), Workers: 2}
}

// TestCompare guards the comparison itself: one that finds nothing would let every difference pass.
func TestCompare(t *testing.T) {
	tests := []struct {
		name       string
		kube, ours string
		want       []string
	}{
		{"equal", `{"a":1,"b":["x"]}`, `{"b":["x"],"a":1}`, nil},
		{"value", `{"a":{"b":1}}`, `{"a":{"b":2}}`, []string{"body.a.b"}},
		{"missing field", `{"a":1}`, `{}`, []string{"body.a"}},
		{"field too many", `{}`, `{"a":1}`, []string{"body.a"}},
		{"null is not absent", `{"a":null}`, `{}`, []string{"body.a"}},
		{"1 is not 1.0", `{"a":1}`, `{"a":1.0}`, []string{"body.a"}},
		{"great numbers keep their digits", `{"a":9007199254740993}`, `{"a":9007199254740992}`, []string{"body.a"}},
		{"order of named elements", `[{"name":"a"},{"name":"b"}]`, `[{"name":"b"},{"name":"a"}]`, []string{"body[0].name", "body[1].name"}},
		{"element missing", `{"x":[{"name":"a"},{"name":"b"}]}`, `{"x":[{"name":"a"}]}`, []string{"body.x.[b]"}},
		{
			"an owner named by its uid in managedFields", `{"k:{\"uid\":\"38d90228-6100-432e-8ae2-d92cfac70c9b\"}":{}}`,
			`{"k:{\"uid\":\"d5fb9530-ca3a-450c-8f28-c7e98ecf827f\"}":{}}`, nil,
		},
		{"keys of token issuers", `{"keys":[{"kty":"EC","kid":"a","use":"sig","x":"1"}]}`, `{"keys":[{"kty":"RSA","kid":"b","use":"sig","n":"1"}]}`, nil},
		{"a key that is for something else", `{"keys":[{"kty":"EC","use":"sig"}]}`, `{"keys":[{"kty":"RSA","use":"enc"}]}`, []string{"body.keys[0].use"}},
		{
			"order of conflicts", `{"causes":[{"reason":"FieldManagerConflict","field":"a"},{"reason":"FieldManagerConflict","field":"b"}]}`,
			`{"causes":[{"reason":"FieldManagerConflict","field":"b"},{"reason":"FieldManagerConflict","field":"a"}]}`, nil,
		},
		{
			"order of managedFields", `{"managedFields":[{"manager":"a","time":"x"},{"manager":"b"}]}`, `{"managedFields":[{"manager":"b"},{"manager":"a","time":"x"}]}`, nil,
		},
		{"a path", `{"paths":["/a","/b","/c"]}`, `{"paths":["/a","/c","/d"]}`, []string{"body.paths./b", "body.paths./d"}},
		{"uids", `{"uid":"1"}`, `{"uid":"2"}`, nil},
		{"a uid that is not set", `{"uid":"1"}`, `{}`, []string{"body.uid"}},
		{"revisions", `{"resourceVersion":"17"}`, `{"resourceVersion":"4"}`, nil},
		{"revision 0 is not any", `{"resourceVersion":"0"}`, `{"resourceVersion":"4"}`, []string{"body.resourceVersion"}},
		{"times of the request", `{"t":"2020-01-01T00:00:00Z"}`, `{"t":"2020-01-01T00:00:01Z"}`, []string{"body.t"}},
		{"cluster IPs", `{"clusterIP":"10.0.0.7"}`, `{"clusterIP":"10.0.0.9"}`, nil},
		{"families of cluster IPs", `{"clusterIP":"10.0.0.7"}`, `{"clusterIP":"fd00::1"}`, []string{"body.clusterIP"}},
		{"headless", `{"clusterIP":"None"}`, `{"clusterIP":"10.0.0.9"}`, []string{"body.clusterIP"}},
		{"node ports", `{"nodePort":30001}`, `{"nodePort":31111}`, nil},
		{"indentation", "{\n  \"a\": 1\n}", `{"a":1}`, []string{"indentation"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, f := range diff.Compare(answers(t, http.StatusOK, tt.kube, tt.ours)) {
				got = append(got, f.Place)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("places (-want +got):\n%s", d)
			}
		})
	}
}

// TestVerdict guards the classes that are counted apart.
func TestVerdict(t *testing.T) {
	status := func(message, causes string) string {
		return `{"kind":"Status","reason":"Invalid","message":"` + message + `","details":{"causes":[` + causes + `]}}`
	}
	const a, b = `{"reason":"R","message":"m","field":"a"}`, `{"reason":"R","message":"n","field":"b"}`
	tests := []struct {
		name       string
		kube, ours string
		want       diff.Verdict
	}{
		{"equal", `{}`, `{}`, diff.Equal},
		{"another order", status("x is invalid: [a: m, b: n]", a+","+b), status("x is invalid: [b: n, a: m]", b+","+a), diff.OrderOnly},
		{"another order and another message", status("x is invalid: [a: m, b: n]", a+","+b), status("y is invalid: [b: n, a: m]", b+","+a), diff.Different},
		{"one cause less", status("x: [a: m, b: n]", a+","+b), status("x: a: m", a), diff.Different},
		{"managed fields", `{"metadata":{"managedFields":[]}}`, `{"metadata":{}}`, diff.ManagedOnly},
		{"managed fields and more", `{"metadata":{"managedFields":[]},"a":1}`, `{"metadata":{}}`, diff.Different},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pair := canned(t, func(w http.ResponseWriter, _ *http.Request, body string) {
				w.Header().Set("Content-Type", "application/json")
				_, _ = w.Write([]byte(body))
			}, tt.kube, tt.ours)
			got := pair.Ask(t.Context(), diff.Case{Request: diff.Request{Method: http.MethodGet, Path: "/"}}, nil, nil)
			if got.Verdict != tt.want {
				t.Errorf("verdict %q, want %q; findings %v", got.Verdict, tt.want, got.Unaccepted)
			}
		})
	}
}

// TestStatusComesFirst guards against a report full of the fields that a refusal does not have.
func TestStatusComesFirst(t *testing.T) {
	pair := canned(t, func(w http.ResponseWriter, _ *http.Request, body string) {
		w.Header().Set("Content-Type", "application/json")
		if body == "refuse" {
			w.WriteHeader(http.StatusUnprocessableEntity)
			_, _ = w.Write([]byte(`{"kind":"Status","reason":"Invalid","message":"no"}`))
			return
		}
		_, _ = w.Write([]byte(`{"kind":"Pod"}`))
	}, "refuse", "accept")
	got := pair.Ask(t.Context(), diff.Case{Request: diff.Request{Method: http.MethodGet, Path: "/"}}, nil, nil)
	want := []diff.Finding{{Place: "status", Kube: "422 Invalid: no", Ours: "200 Pod"}}
	if d := cmp.Diff(want, got.Findings); d != "" {
		t.Errorf("findings (-want +got):\n%s", d)
	}
}
