package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/gatehouse/gatehouse/e2e/diff"
)

// generatedShare is the part of the generated requests that must be answered alike.
const generatedShare = 0.99

func run(ctx context.Context, o options) (err error) {
	accepted, err := diff.LoadAccepted(filepath.Join(o.testdata, "accepted.yaml"), filepath.Join("..", "docs", "divergences.md"))
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "gatehouse-diff-")
	if err != nil {
		return fmt.Errorf("make a place for the servers: %w", err)
	}
	s, err := startServers(ctx, o, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	began := time.Now()
	pair := &diff.Pair{
		Kube: s.kube, Ours: s.ours, Accept: accepted, Workers: o.workers,
		IgnoreManaged: o.ignores("managed"), IgnoreOrder: o.ignores("order"),
	}
	results, err := compareAll(ctx, o, pair)
	if err != nil {
		return err
	}
	if results, err = o.filter(results); err != nil {
		return err
	}
	report := diff.Report{Results: results}
	file, err := writeAll(report, o, dir)
	if err != nil {
		return err
	}
	fmt.Printf("\n%d requests in %s; all differences: %s\n", len(results), time.Since(began).Round(time.Second), file)
	return judge(report, o, accepted)
}

func compareAll(ctx context.Context, o options, pair *diff.Pair) ([]diff.Result, error) {
	// Names of this run; a run takes longer than a millisecond.
	name := strconv.FormatInt(time.Now().UnixMilli()%1e9, 36)
	var all []diff.Result
	for _, source := range []func(context.Context, options, *diff.Pair, string) ([]diff.Result, error){scenarios, recorded, generated} {
		results, err := source(ctx, o, pair, name)
		if err != nil {
			return nil, err
		}
		all = append(all, results...)
	}
	return all, nil
}

func generated(ctx context.Context, o options, pair *diff.Pair, name string) ([]diff.Result, error) {
	if !o.wants(diff.Generated, "") {
		return nil, nil
	}
	seeds, err := diff.LoadSeeds(filepath.Join(o.testdata, "seeds"))
	if err != nil {
		return nil, err
	}
	kinds, err := diff.Discover(pair.Kube)
	if err != nil {
		return nil, err
	}
	g := &diff.Generator{Pair: pair, Seeds: seeds, PerKind: o.perKind, Seed: o.seed, Run: name}
	var all []diff.Result
	for _, kind := range kinds {
		if !o.wants(diff.Generated, kind.Name()) {
			continue
		}
		results, err := g.Kind(ctx, kind)
		if err != nil {
			return nil, fmt.Errorf("compare %s: %w", kind.Name(), err)
		}
		all = append(all, results...)
	}
	return all, nil
}

// writeAll writes the counts to standard output and everything to the report, whose name it returns.
func writeAll(report diff.Report, o options, dir string) (string, error) {
	file := o.report
	if file == "" {
		file = filepath.Join(dir, "report.txt")
	}
	out, err := os.Create(file)
	if err != nil {
		return "", fmt.Errorf("write report: %w", err)
	}
	if o.verbose {
		report.WriteDifferences(os.Stdout)
	}
	report.WriteDifferences(out)
	counts := io.MultiWriter(out, os.Stdout)
	report.WriteCounts(counts, "behaviour", func(r diff.Result) string { return r.Source + " " + r.Behaviour })
	report.WriteCounts(counts, "kind or scenario", func(r diff.Result) string { return r.Source + " " + r.Kind })
	report.WriteAccepted(counts)
	report.WriteClasses(out, len(report.Results))
	report.WriteClasses(os.Stdout, o.classes)
	return file, out.Close()
}

// judge decides about the exit code.
func judge(report diff.Report, o options, accepted *diff.AcceptList) error {
	var all error
	for _, source := range []string{diff.Scenarios, diff.Recorded} {
		if report.Share(source) < 1 {
			all = errors.Join(all, fmt.Errorf("%s: not all answers are equal or accepted", source))
		}
	}
	for _, bad := range report.BadSeeds() {
		all = errors.Join(all, fmt.Errorf("seed of %s (%s, %s) is refused by kube-apiserver: %v", bad.Kind, bad.Behaviour, bad.Name, bad.Kube.Message()))
	}
	if share := report.Share(diff.Generated); share < generatedShare {
		all = errors.Join(all, fmt.Errorf("generated: %.1f%% are equal, %.1f%% have to be", 100*share, 100*generatedShare))
	}
	if whole := o.only == "" && o.kinds == "" && o.run == ""; whole {
		for _, id := range report.Unneeded(accepted.IDs()) {
			all = errors.Join(all, fmt.Errorf("accepted difference %s is not one any more: remove it", id))
		}
	}
	return all
}
