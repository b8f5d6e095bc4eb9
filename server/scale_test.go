package server_test

import (
	"strings"
	"testing"
)

// A Scale is no stored object, and still clients ask for it as they ask for everything else.
func TestScaleForms(t *testing.T) {
	const deployments = "/apis/apps/v1/namespaces/default/deployments"
	runObjects(t, func(t *testing.T, h *host) {
		h.send(t, 201, "POST", deployments, `{"metadata":{"name":"o"},"spec":{"replicas":2,"selector":{"matchLabels":{"a":"b"}},
			"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"x"}]}}}}`)
		for _, tc := range []struct {
			query, accept string
			code          int
			want          string
		}{
			{"", "application/json", 200, `"kind":"Scale"`},
			{"", "application/json" + tableOf, 200, `"rows":[{"cells":["o",2,0,"`},
			{"?includeObject=None", "application/json" + tableOf, 200, `"object":null`},
			{"?includeObject=Object", "application/json" + tableOf, 200, `"object":{"kind":"Scale","apiVersion":"autoscaling/v1"`},
			{"", "application/json" + partialOf, 200, `{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"name":"o"`},
			{"", protobufType + partialOf, 200, "PartialObjectMetadata"},
			{"", "application/json" + partialsOf, 406, "is not a list"},
		} {
			a := h.get(t, deployments+"/o/scale"+tc.query, "Accept", tc.accept)
			if a.StatusCode != tc.code || !strings.Contains(a.body, tc.want) {
				t.Errorf("%s as %s: %d %s", tc.query, tc.accept, a.StatusCode, a.body)
			}
		}
	})
}
