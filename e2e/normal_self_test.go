package e2e_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestDiff guards the comparison itself: one that finds nothing would let every
// difference pass.
func TestDiff(t *testing.T) {
	tests := []struct {
		name       string
		kube, ours string
		want       []string
	}{
		{"equal", `{"a":1,"b":["x"]}`, `{"b":["x"],"a":1}`, nil},
		{"value", `{"a":{"b":1}}`, `{"a":{"b":2}}`, []string{"t.a.b"}},
		{"missing field", `{"a":1}`, `{}`, []string{"t.a"}},
		{"field too many", `{}`, `{"a":1}`, []string{"t.a"}},
		{"null is not absent to a client, but is here", `{"a":null}`, `{}`, nil},
		{"order of named elements", `[{"name":"a"},{"name":"b"}]`, `[{"name":"b"},{"name":"a"}]`, nil},
		{"element missing", `[{"name":"a"},{"name":"b"}]`, `[{"name":"a"}]`, []string{"t.[b]"}},
		{"order of values", `["a","b"]`, `["b","a"]`, []string{"t[0]", "t[1]"}},
		{"another number of values", `["a"]`, `["a","b"]`, []string{"t"}},
		{"two elements of one name", `[{"name":"a","v":1},{"name":"a","v":2}]`, `[{"name":"a","v":1}]`, []string{"t"}},
		{"per-server fields", `{"metadata":{"uid":"1","name":"x"}}`, `{"metadata":{"uid":"2","name":"x"}}`, nil},
		{"times in text", `"at 2026-01-01T00:00:00Z"`, `"at 2027-02-02T01:01:01Z"`, nil},
		{"ages in a table", `{"cells":["x","3s"]}`, `{"cells":["x","2m4s"]}`, nil},
		{"type", `{"a":"1"}`, `{"a":1}`, []string{"t.a"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, f := range diff("t", normal(decode(t, tt.kube)), normal(decode(t, tt.ours))) {
				got = append(got, f.where)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("places (-want +got):\n%s", d)
			}
		})
	}
}

func decode(t *testing.T, data string) any {
	t.Helper()
	var value any
	if err := json.Unmarshal([]byte(data), &value); err != nil {
		t.Fatalf("decode %q: %v", data, err)
	}
	return value
}
