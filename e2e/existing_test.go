package e2e_test

import (
	"net/http"
	"path/filepath"
	"slices"
	"testing"

	"github.com/gatehouse/gatehouse/e2e/cluster"
	differ "github.com/gatehouse/gatehouse/e2e/diff"
)

// TestExistingData guards that Gatehouse reads what kube-apiserver has stored: both serve the same etcd, and every list is the same.
func TestExistingData(t *testing.T) {
	kube, etcd := startKube(t)
	newSide(t, kube, etcd).create(t, "testdata/oracle/objects.yaml")
	newSide(t, kube, etcd).create(t, filepath.Join("testdata", "oracle", "stored.yaml"))
	ours := startGatehouse(t, cluster.GatehouseOptions{EtcdURL: etcd.URL, Args: differ.GatehouseArgs()})
	pair := &differ.Pair{Kube: targetOf(t, "kube-apiserver", kube), Ours: targetOf(t, "gatehouse", ours)}
	kinds, err := differ.Discover(pair.Kube)
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range kinds {
		// Custom resources are not served yet; leases and addresses change while both servers are running.
		if !slices.Contains(kind.Verbs, "list") || kind.Group == "example.com" || kind.Kind == "Lease" {
			continue
		}
		kind.Namespaced = false
		for _, accept := range []string{"application/json", "application/vnd.kubernetes.protobuf"} {
			request := differ.Request{Method: http.MethodGet, Path: kind.Collection(""), Header: http.Header{"Accept": {accept}}}
			for _, f := range pair.Ask(t.Context(), differ.Case{Request: request}, nil, nil).Findings {
				t.Errorf("%s as %s: %s is\n%s in kube-apiserver and\n%s here", request.Path, accept, f.Place, f.Kube, f.Ours)
			}
		}
	}
}

func targetOf(t *testing.T, name string, s *cluster.Server) *differ.Target {
	t.Helper()
	target, err := differ.NewTarget(name, s.Kubeconfig, "")
	if err != nil {
		t.Fatal(err)
	}
	return target
}
