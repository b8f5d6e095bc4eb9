package resource_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/gatehouse/gatehouse/admission"
	"github.com/gatehouse/gatehouse/resource"
)

// ledger is an allocator with a single address for everybody. It writes down what it is told.
type ledger struct {
	entries []string
	held    bool // what it says of ServiceCIDRs
}

func (l *ledger) Allocate(_ context.Context, svc, old *corev1.Service, dryRun bool) (func(context.Context, bool), error) {
	if dryRun {
		return func(context.Context, bool) {}, nil
	}
	what := "for the new " + svc.Name
	if old != nil {
		what = "for the changed " + svc.Name
	}
	l.entries = append(l.entries, "taken "+what)
	svc.Spec.ClusterIP, svc.Spec.ClusterIPs = "10.0.0.9", []string{"10.0.0.9"}
	svc.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv4Protocol}
	policy := corev1.IPFamilyPolicySingleStack
	svc.Spec.IPFamilyPolicy = &policy
	return func(_ context.Context, committed bool) {
		outcome := "dropped"
		if committed {
			outcome = "kept"
		}
		l.entries = append(l.entries, outcome)
	}, nil
}

func (l *ledger) CompleteStored(svc *corev1.Service) {
	if len(svc.Spec.IPFamilies) == 0 {
		svc.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv4Protocol}
	}
}

func (l *ledger) Release(_ context.Context, svc *corev1.Service) {
	l.entries = append(l.entries, "released "+svc.Spec.ClusterIP)
}

func (l *ledger) Held(context.Context, *networkingv1.ServiceCIDR) (bool, error) { return l.held, nil }

// refusal denies objects of a name.
type refusal struct{}

func (refusal) Validate(_ context.Context, a *admission.Attributes) error {
	if a.Name == "refused" {
		return errors.New("no")
	}
	return nil
}

func startWithLedger(t *testing.T) (*cluster, *ledger) {
	t.Helper()
	l := &ledger{}
	c := start(t, func(cfg *resource.Config, _ *cluster) {
		cfg.Allocator = l
		cfg.Admission.Validators = append(cfg.Admission.Validators, refusal{})
	})
	return c, l
}

// TestAllocation follows what is taken for a Service through its life.
func TestAllocation(t *testing.T) {
	c, l := startWithLedger(t)
	const all, one = "/api/v1/namespaces/default/services", "/api/v1/namespaces/default/services/web"
	const body = `{"metadata":{"name":"web"},"spec":{"ports":[{"port":80,"protocol":"TCP"}]}}`
	steps := []struct {
		name string
		do   func() error
		fail bool
		want []string
	}{
		{"a create takes before it is validated, and keeps", func() error {
			got := c.must(t, "create", all, body)
			if ip := at(t, got, "spec.clusterIP"); ip != "10.0.0.9" {
				t.Errorf("clusterIP = %v", ip)
			}
			return nil
		}, false, []string{"taken for the new web", "kept"}},
		{"one that exists gives back", func() error {
			_, err := c.do(t, request{verb: "create", path: all, body: body})
			return err
		}, true, []string{"taken for the new web", "dropped"}},
		{"one that is refused gives back", func() error {
			_, err := c.do(t, request{verb: "create", path: all, body: `{"metadata":{"name":"refused"},"spec":{"ports":[{"port":80,"protocol":"TCP"}]}}`})
			return err
		}, true, []string{"taken for the new refused", "dropped"}},
		{"a dry run takes nothing", func() error {
			_, err := c.do(t, request{
				verb: "create", path: all, body: `{"metadata":{"name":"dry"},"spec":{"ports":[{"port":80,"protocol":"TCP"}]}}`,
				write: resource.Write{Options: resource.WriteOptions{DryRun: true}},
			})
			return err
		}, false, nil},
		{"an update", func() error {
			c.must(t, "patch", one, `{"metadata":{"labels":{"a":"b"},"finalizers":["example.com/hold"]}}`)
			return nil
		}, false, []string{"taken for the changed web", "kept"}},
		{"a status is nothing to allocate for", func() error {
			c.must(t, "patch", one+"/status", `{"metadata":{"annotations":{"a":"b"}}}`)
			return nil
		}, false, nil},
		{"a delete that is held releases nothing", func() error {
			_, err := c.do(t, request{verb: "delete", path: one})
			return err
		}, false, nil},
		{"the end of what held it releases", func() error {
			c.must(t, "patch", one, `{"metadata":{"finalizers":null}}`)
			return nil
		}, false, []string{"taken for the changed web", "dropped", "released 10.0.0.9"}},
	}
	for _, tt := range steps {
		l.entries = nil
		if err := tt.do(); (err != nil) != tt.fail {
			t.Errorf("%s: error %v", tt.name, err)
		}
		if diff := cmp.Diff(tt.want, lastTries(l.entries)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// lastTries leaves out the attempts that were made again: what was taken and dropped before the same was taken once more. An attempt
// starts from the cache, which may be behind.
func lastTries(entries []string) []string {
	for len(entries) > 2 && entries[1] == "dropped" && entries[2] == entries[0] {
		entries = entries[2:]
	}
	return entries
}

// TestEndpointsGoWithTheirService checks that nothing of a Service is left to the next one of its name.
func TestEndpointsGoWithTheirService(t *testing.T) {
	c, _ := startWithLedger(t)
	const namespace = "/api/v1/namespaces/default/"
	c.must(t, "create", namespace+"services", `{"metadata":{"name":"web"},"spec":{"ports":[{"port":80,"protocol":"TCP"}]}}`)
	c.must(t, "create", namespace+"endpoints", `{"metadata":{"name":"web"}}`)
	c.must(t, "create", namespace+"endpoints", `{"metadata":{"name":"other"}}`)
	if _, err := c.do(t, request{verb: "delete", path: namespace + "services/web"}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"other"}, names(c.list(t, namespace+"endpoints", resource.ListOptions{}))); diff != "" {
		t.Errorf("endpoints (-want +got):\n%s", diff)
	}
}

// TestServiceCIDRInUseStays checks that a range does not vanish under the Services that have addresses of it.
func TestServiceCIDRInUseStays(t *testing.T) {
	c, l := startWithLedger(t)
	const all = "/apis/networking.k8s.io/v1/servicecidrs"
	for name, held := range map[string]bool{"free": false, "used": true} {
		l.held = held
		c.must(t, "create", all, `{"metadata":{"name":"`+name+`"},"spec":{"cidrs":["10.9.0.0/28"]}}`)
		if _, err := c.do(t, request{verb: "delete", path: all + "/" + name}); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"used"}, names(c.list(t, all, resource.ListOptions{}))); diff != "" {
		t.Errorf("service CIDRs (-want +got):\n%s", diff)
	}
	got := c.must(t, "get", all+"/used", "")
	if at(t, got, "metadata.deletionTimestamp") == nil {
		t.Error("the deletion has not begun")
	}
}
