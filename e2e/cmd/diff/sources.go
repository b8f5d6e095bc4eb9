package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/gatehouse/gatehouse/e2e/cluster"
	"github.com/gatehouse/gatehouse/e2e/diff"
)

func scenarios(ctx context.Context, o options, pair *diff.Pair, name string) ([]diff.Result, error) {
	if !o.wants(diff.Scenarios, "") {
		return nil, nil
	}
	all, err := diff.LoadScenarios(o.testdata)
	if err != nil {
		return nil, err
	}
	wanted := slices.DeleteFunc(all, func(s *diff.Scenario) bool { return !o.wants(diff.Scenarios, s.Name) })
	return pair.PlayAll(ctx, wanted, name)
}

// recorded runs kubectl in front of the reference, and sends what it asked to both servers.
func recorded(ctx context.Context, o options, pair *diff.Pair, name string) ([]diff.Result, error) {
	if !o.wants(diff.Recorded, "kubectl") {
		return nil, nil
	}
	kubectl, err := cluster.Build(ctx, cluster.Kubectl)
	if err != nil {
		return nil, fmt.Errorf("build kubectl: %w", err)
	}
	dir, err := os.MkdirTemp("", "gatehouse-diff-kubectl-")
	if err != nil {
		return nil, fmt.Errorf("make a place for kubectl: %w", err)
	}
	defer os.RemoveAll(dir)
	files := filepath.Join(o.testdata, "kubectl")
	script, err := os.ReadFile(filepath.Join(files, "script.sh"))
	if err != nil {
		return nil, fmt.Errorf("read script: %w", err)
	}
	// The names are equally long, so that what is cut off in one is cut off in the other.
	first, second := "kubectl-a"+name, "kubectl-b"+name
	if err := pair.MakeNamespaces(ctx, first, second); err != nil {
		return nil, err
	}
	defer pair.DropNamespaces(context.WithoutCancel(ctx), first, second)
	recorder := diff.NewRecorder(pair.Kube)
	if err := diff.RecordScript(ctx, recorder, string(script), files, kubectl, first, dir); err != nil {
		return nil, errors.Join(err, fmt.Errorf("%d requests were recorded", recorder.Close().Len()))
	}
	return pair.Replay(ctx, recorder.Close(), first, second), nil
}
