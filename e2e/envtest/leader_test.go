package envtest_test

import (
	"fmt"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// TestLeaderElection runs two managers, of which one leads; when it ends, the other does.
func TestLeaderElection(t *testing.T) {
	ns, c := namespace(t), direct(t)
	options := ctrl.Options{
		LeaderElection: true, LeaderElectionID: "leader", LeaderElectionNamespace: ns, LeaderElectionReleaseOnCancel: true,
	}
	first := manager(t, options)
	stop := started(t, first)
	<-first.Elected()
	holder := leader(t, c, ns)

	second := manager(t, options)
	started(t, second)
	select {
	case <-second.Elected():
		t.Fatal("both lead")
	default:
	}
	stop()
	<-second.Elected()
	eventually(t, func() error {
		if now := leader(t, c, ns); now == holder || now == "" {
			return fmt.Errorf("the lease is held by %q as before", now)
		}
		return nil
	})
}

func leader(t *testing.T, c client.Client, ns string) string {
	t.Helper()
	lease := &coordinationv1.Lease{}
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: "leader"}, lease); err != nil {
		t.Fatal(err)
	}
	if lease.Spec.HolderIdentity == nil {
		return ""
	}
	return *lease.Spec.HolderIdentity
}
