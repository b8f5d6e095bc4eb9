package resource_test

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/gatehouse/gatehouse/admission"
	"github.com/gatehouse/gatehouse/resource"
)

// meanwhile is a mutator during which something happens.
type meanwhile func(*admission.Attributes)

func (m meanwhile) Mutate(_ context.Context, a *admission.Attributes) error {
	m(a)
	return nil
}

// TestCreateDependsOnTheNamespace changes the namespace by another server, between admission and the write.
func TestCreateDependsOnTheNamespace(t *testing.T) {
	const changed = `{"metadata":{"labels":{"n":"%"}}}`
	change := func(t *testing.T, ahead *cluster, try int) {
		ahead.must(t, "patch", "/api/v1/namespaces/other", strings.Replace(changed, "%", strings.Repeat("x", try), 1))
	}
	for name, test := range map[string]struct {
		verb, path, body string
		do               func(t *testing.T, ahead *cluster, try int)
		tries            int
		code             int // of the refusal
	}{
		"unchanged": {"create", "", `{"metadata":{"name":"m"}}`, func(*testing.T, *cluster, int) {}, 1, 0},
		"changed once": {"create", "", `{"metadata":{"name":"m"}}`, func(t *testing.T, ahead *cluster, try int) {
			if try == 1 {
				change(t, ahead, try)
			}
		}, 2, 0},
		"changed under a generated name": {"create", "", `{"metadata":{"generateName":"m-"}}`, func(t *testing.T, ahead *cluster, try int) {
			if try == 1 {
				change(t, ahead, try)
			}
		}, 2, 0},
		"changed under an apply": {"apply", "/m", `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"m"}}`, func(t *testing.T, ahead *cluster, try int) {
			if try == 1 {
				change(t, ahead, try)
			}
		}, 2, 0},
		"changed all the time": {"create", "", `{"metadata":{"name":"m"}}`, change, 5, 409},
		"deleted": {"create", "", `{"metadata":{"name":"m"}}`, func(t *testing.T, ahead *cluster, try int) {
			if try == 1 {
				ahead.must(t, "delete", "/api/v1/namespaces/other", "")
			}
		}, 1, 403},
	} {
		t.Run(name, func(t *testing.T) {
			tries := 0
			var ahead *cluster
			c := start(t, func(cfg *resource.Config, c *cluster) {
				cfg.Admission = &admission.Chain{Mutators: []admission.Mutator{
					admission.NamespaceLifecycle{Namespaces: c, Cached: late{c}},
					meanwhile(func(a *admission.Attributes) {
						if a.Resource.Resource == "configmaps" && a.Operation == admission.Create {
							tries++
							test.do(t, ahead, tries)
						}
					}),
				}}
			})
			ahead = serve(t, c.client)
			r := request{verb: test.verb, path: "/api/v1/namespaces/other/configmaps" + test.path, body: test.body}
			if test.verb == "apply" {
				r.verb, r.contentType, r.write.Options.FieldManager = "patch", "application/apply-patch+yaml", "test"
			}
			_, err := c.do(t, r)
			if got := code(err); got != test.code || tries != test.tries {
				t.Errorf("got %d (%v) after %d tries, want %d after %d", got, err, tries, test.code, test.tries)
			}
			want := 1
			if test.code != 0 {
				want = 0
			}
			if got := len(ahead.list(t, "/api/v1/namespaces/other/configmaps", resource.ListOptions{}).Items); got != want {
				t.Errorf("%d objects are stored, want %d", got, want)
			}
		})
	}
}

// late reads namespaces from the cache as it is.
type late struct{ *cluster }

func (l late) Namespace(ctx context.Context, name string) (*corev1.Namespace, bool, error) {
	return l.namespace(ctx, name, "0")
}
