package e2e_test

import (
	"slices"
	"testing"

	"github.com/gatehouse/gatehouse/e2e/cluster"
	differ "github.com/gatehouse/gatehouse/e2e/diff"
)

// TestDiffRuns guards that make diff works, with one kind and one scenario. How much is equal is for make diff to say.
func TestDiffRuns(t *testing.T) {
	pair := startPair(t)
	seeds, err := differ.LoadSeeds("testdata/diff/seeds")
	if err != nil {
		t.Fatal(err)
	}
	kinds, err := differ.Discover(pair.Kube)
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(kinds, func(k differ.Kind) bool { return k.Name() == "core/ConfigMap" })
	if at < 0 {
		t.Fatal("kube-apiserver does not serve ConfigMaps")
	}
	g := &differ.Generator{Pair: pair, Seeds: seeds, PerKind: 60, Seed: 1, Run: "smoke"}
	results, err := g.Kind(t.Context(), kinds[at])
	if err != nil {
		t.Fatal(err)
	}
	scenario, err := differ.ParseScenario("smoke", []byte("-- read --\nGET /api/v1/namespaces/${ns}\n"))
	if err != nil {
		t.Fatal(err)
	}
	played, err := pair.Play(t.Context(), scenario, "r")
	if err != nil {
		t.Fatal(err)
	}
	report := differ.Report{Results: slices.Concat(results, played)}
	if len(report.Results) < 40 {
		t.Errorf("only %d requests were compared", len(report.Results))
	}
	for _, bad := range report.BadSeeds() {
		t.Errorf("kube-apiserver refuses a seed: %s", bad.Kube.Message())
	}
	for _, r := range report.Results {
		if r.Kube.Err != "" || r.Ours.Err != "" {
			t.Errorf("%s: no answer: %q, %q", r.Name, r.Kube.Err, r.Ours.Err)
		}
	}
	t.Logf("%.0f%% of the generated requests are answered alike", 100*report.Share(differ.Generated))
}

func startPair(t *testing.T) *differ.Pair {
	t.Helper()
	kube, _ := startKube(t)
	ours := startGatehouse(t, cluster.GatehouseOptions{})
	target := func(name string, s *cluster.Server) *differ.Target {
		target, err := differ.NewTarget(name, s.Kubeconfig, "")
		if err != nil {
			t.Fatal(err)
		}
		return target
	}
	return &differ.Pair{Kube: target("kube-apiserver", kube), Ours: target("gatehouse", ours), Workers: 2}
}
