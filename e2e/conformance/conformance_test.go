package conformance_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/onsi/ginkgo/v2/types"

	"github.com/gatehouse/gatehouse/e2e/cluster"
)

// The files of a group of specs, in a directory below testdata. They say of themselves what their lines are.
const (
	focusFile  = "focus.txt"
	notYetFile = "notyet.txt"
)

// start starts a server and what belongs to it, until the test ends.
type start func(*testing.T) *cluster.Server

// TestConformance runs the specs of the API server itself on both servers. It takes a quarter of an hour and is run by make
// conformance only.
func TestConformance(t *testing.T) {
	if os.Getenv("GATEHOUSE_CONFORMANCE") == "" {
		t.Skip("make conformance runs this")
	}
	compare(t, "apiserver", startReference, startGatehouse)
}

// TestClusterConformance runs the specs that need nodes, but nothing of what runs in a container, on whole clusters of kwok's
// nodes with either server. It is run by make cluster-conformance only.
func TestClusterConformance(t *testing.T) {
	if os.Getenv("GATEHOUSE_CONFORMANCE") == "" {
		t.Skip("make cluster-conformance runs this")
	}
	compare(t, "cluster", startReferenceCluster, startGatehouseCluster)
}

// compare runs a group of specs on both servers, one after the other. A spec that passes on kube-apiserver and not on Gatehouse
// fails the test, unless it is one of those that are known not to. GATEHOUSE_CONFORMANCE_FOCUS replaces the selection of the file
// by a regular expression, for a look at others; GATEHOUSE_CONFORMANCE_OUT is a file for the results.
func compare(t *testing.T, group string, startReference, startOurs start) {
	t.Helper()
	notYet := lines(t, filepath.Join("testdata", group, notYetFile))
	focus := selection(t, filepath.Join("testdata", group, focusFile))
	reference := results(t, "kube-apiserver", startReference, focus)
	ours := results(t, "gatehouse", startOurs, focus)
	var table strings.Builder
	for _, name := range names(reference, ours) {
		there, here := reference[name], ours[name]
		fmt.Fprintf(&table, "%-9s %5.0fs %-9s %5.0fs %s\n", there.State, there.RunTime.Seconds(), here.State, here.RunTime.Seconds(), name)
		known := slices.ContainsFunc(notYet, func(part string) bool { return strings.Contains(name, part) })
		passes := here.State == types.SpecStatePassed
		switch {
		case known && passes:
			t.Errorf("%s passes: take it out of %s", name, notYetFile)
		case !known && !passes && there.State == types.SpecStatePassed:
			t.Errorf("%s passes on kube-apiserver and is %s on Gatehouse: %s", name, here.State, here.Failure.Message)
		case !passes || there.State != types.SpecStatePassed:
			t.Logf("%s is %s on kube-apiserver: %s, and %s on Gatehouse: %s", name, there.State, there.Failure.Message, here.State, here.Failure.Message)
		}
	}
	t.Logf("kube-apiserver, Gatehouse, spec:\n%s", table.String())
	if len(reference) == 0 || len(ours) == 0 {
		t.Error("no spec was selected")
	}
	if out := os.Getenv("GATEHOUSE_CONFORMANCE_OUT"); out != "" {
		if err := os.WriteFile(out, []byte(table.String()), 0o600); err != nil {
			t.Error(err)
		}
	}
}

// results runs the specs on one server, which ends with them: two at a time would make each other slow.
func results(t *testing.T, name string, start start, focus []string) map[string]types.SpecReport {
	t.Helper()
	var specs map[string]types.SpecReport
	t.Run(name, func(t *testing.T) { specs = runSpecs(t, start(t), focus) })
	if t.Failed() {
		t.FailNow()
	}
	return specs
}

// names are those of the specs in any of the reports, in order.
func names(reports ...map[string]types.SpecReport) []string {
	all := map[string]types.SpecReport{}
	for _, r := range reports {
		maps.Copy(all, r)
	}
	return slices.Sorted(maps.Keys(all))
}
