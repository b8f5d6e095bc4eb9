package resource_test

import (
	"strings"
	"testing"
)

// TestStrategicMergeReasons holds the words of kube-apiserver for a strategic merge that makes no object of the kind: Kubernetes' own
// kubectl tests look for them.
func TestStrategicMergeReasons(t *testing.T) {
	c := start(t)
	c.must(t, "create", pods, `{"metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"i"}]}}`)
	for name, tc := range map[string]struct{ patch, reason string }{
		"text for a map":       {`{"metadata":{"labels":"x"}}`, "cannot restore map from string"},
		"a number for text":    {`{"metadata":{"labels":{"a":1}}}`, "cannot convert int64 to string"},
		"text for a list":      {`{"spec":{"containers":"x"}}`, "cannot restore slice from string"},
		"text for a struct":    {`{"spec":"x"}`, "cannot restore struct from: string"},
		"text for a number":    {`{"spec":{"activeDeadlineSeconds":"x"}}`, "unrecognized type: int64"},
		"a fraction":           {`{"spec":{"activeDeadlineSeconds":5.5}}`, "cannot convert float64 to int64"},
		"a time":               {`{"metadata":{"creationTimestamp":"x"}}`, `parsing time "x" as`},
		"a number that is cut": {`{"spec":{"priority":99999999999}}`, "cannot unmarshal number 99999999999"},
	} {
		r := request{verb: "patch", path: pods + "/p", contentType: strategic, body: tc.patch}
		_, err := c.do(t, r)
		if code(err) != 422 || !strings.Contains(err.Error(), tc.reason) {
			t.Errorf("%s: %v, want %q", name, err, tc.reason)
		}
	}
}
