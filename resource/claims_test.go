package resource_test

import (
	"strings"
	"testing"
)

// TestClaimsHaveAKind checks that the templates of claims are shown with a kind, which their stored form does not hold, and that an
// update compares them as they are shown.
func TestClaimsHaveAKind(t *testing.T) {
	c := start(t)
	sets := "/apis/apps/v1/namespaces/default/statefulsets"
	made := c.must(t, "create", sets, strings.TrimSuffix(body(typeOf(t, c, "apps", "v1", "statefulsets"), "s"), "}}")+
		`,"volumeClaimTemplates":[{"metadata":{"name":"v"},"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"1Gi"}}}}]}}`)
	got := c.must(t, "get", sets+"/s", "")
	for _, answer := range []string{made, got} {
		if !strings.Contains(answer, `"volumeClaimTemplates":[{"kind":"PersistentVolumeClaim","apiVersion":"v1",`) {
			t.Errorf("claims without a kind in %s", answer)
		}
	}
	c.must(t, "update", sets+"/s", got)
	c.must(t, "patch", sets+"/s", `{"spec":{"replicas":3}}`)
}
