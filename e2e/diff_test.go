package e2e_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/e2e/cluster"
	differ "github.com/gatehouse/gatehouse/e2e/diff"
)

// TestDiffRuns guards that generated requests work, with one kind. How much is equal is for make diff to say.
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
	report := differ.Report{Results: results}
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

// TestScenarios guards that no answer to the written scenarios differs from kube-apiserver's without a reason that is accepted in
// testdata/diff/accepted.yaml and docs/divergences.md.
func TestScenarios(t *testing.T) {
	accepted, err := differ.LoadAccepted("testdata/diff/accepted.yaml", "../docs/divergences.md")
	if err != nil {
		t.Fatal(err)
	}
	all, err := differ.LoadScenarios("testdata/diff")
	if err != nil {
		t.Fatal(err)
	}
	pair := startPair(t)
	pair.Accept, pair.Workers = accepted, 6
	results, err := pair.PlayAll(t.Context(), all, "t")
	if err != nil {
		t.Fatal(err)
	}
	if len(results) < 1500 {
		t.Errorf("only %d requests were compared", len(results))
	}
	for _, r := range results {
		if r.Verdict == differ.Equal || r.Verdict == differ.Accepted {
			continue
		}
		var b strings.Builder
		r.Write(&b)
		t.Error(b.String())
	}
}

func startPair(t *testing.T) *differ.Pair {
	t.Helper()
	kube, _ := startKube(t)
	ours := startGatehouse(t, cluster.GatehouseOptions{Args: differ.GatehouseArgs()})
	return &differ.Pair{Kube: targetOf(t, "kube-apiserver", kube), Ours: targetOf(t, "gatehouse", ours), Workers: 2}
}
