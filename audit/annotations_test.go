package audit_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse/gatehouse/audit"
)

// TestLastAnnotationOfAKeyWins gives a record annotations in many orders, fewer and more than it has room for from the start, some of them twice.
func TestLastAnnotationOfAKeyWins(t *testing.T) {
	path := logPath(t)
	l := open(t, audit.Options{Path: path})
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // The orders are to be the same in each run.
	var want []map[string]string
	for n := range 40 {
		rec := begin(t, l, request(t, "GET", "/api/v1/namespaces/a/pods/b"))
		expected := map[string]string{audit.AnnotationMethod: "x509"}
		for i := range n {
			key := fmt.Sprintf("%c.example.com/k", 'a'+random.IntN(n))
			if i == n/2 {
				key = audit.AnnotationDecision
			}
			expected[key] = fmt.Sprint(i)
			rec.Annotate(key, expected[key])
		}
		rec.Finish(200, nil)
		want = append(want, expected)
	}
	closeLog(t, l)
	var got []map[string]string
	for _, e := range events(t, path) {
		got = append(got, e.Annotations)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("annotations (-want +got):\n%s", diff)
	}
}
