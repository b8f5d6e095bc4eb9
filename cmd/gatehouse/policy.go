package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/gatehouse/gatehouse/policies"
)

func newPolicy() *cobra.Command {
	return newParent("policy", "Test and list Rego policies", newPolicyTest(), newPolicyList())
}

func newPolicyTest() *cobra.Command {
	var verbose bool
	cmd := &cobra.Command{
		Use:   "test [DIR]",
		Short: "Run the cases of a policy directory, or of the embedded library",
		Long: `Run the cases (NAME.cases.yaml) of a policy directory against its policies and the embedded ones.
Without a directory, run those of the embedded library. A case that fails is printed with
what it wanted and what it got.`,
		Args: arguments(0, 1, "gatehouse policy test [DIR]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := untilSignal(cmd.Context())
			defer cancel()
			results, err := testPolicies(ctx, args)
			if err != nil && len(results) == 0 {
				return err
			}
			return errors.Join(report(cmd.OutOrStdout(), results, verbose), err)
		},
	}
	cmd.Flags().BoolVar(&verbose, "verbose", false, "print the cases that pass too")
	return cmd
}

func testPolicies(ctx context.Context, args []string) ([]policies.CaseResult, error) {
	if len(args) == 0 {
		return policies.TestLibrary(ctx)
	}
	if err := isDirectory(args[0]); err != nil {
		return nil, err
	}
	results, err := policies.Test(ctx, os.DirFS(args[0]))
	if err != nil {
		return results, inDirectory(args[0], err)
	}
	return results, nil
}

// report prints results and fails if a case did, or if there are none: a misspelt file name must not look like success.
func report(w io.Writer, results []policies.CaseResult, verbose bool) error {
	failed := 0
	for _, r := range results {
		switch {
		case !r.Pass:
			failed++
			fmt.Fprintf(w, "FAIL  %s: %s: want %s, got %s\n", r.File, r.Name, r.Want, r.Got)
		case verbose:
			fmt.Fprintf(w, "ok    %s: %s\n", r.File, r.Name)
		}
	}
	if len(results) == 0 {
		return errors.New("no case was run: cases are in files NAME.cases.yaml")
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d cases failed", failed, len(results))
	}
	_, err := fmt.Fprintf(w, "ok    %d cases\n", len(results))
	return err
}

func newPolicyList() *cobra.Command {
	var dir string
	var compatible bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the policies, with what they do in this configuration",
		Args:  arguments(0, 0, "gatehouse policy list [--policy-dir DIR]"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			set, err := compile(dir, compatible)
			if err != nil {
				return err
			}
			return list(cmd.OutOrStdout(), set.Policies())
		},
	}
	cmd.Flags().StringVar(&dir, "policy-dir", "", "policy directory (default only the embedded library)")
	cmd.Flags().BoolVar(&compatible, "no-defaults", false, "as in the compatible profile: embedded policies are off unless policies.yaml turns them on")
	return cmd
}

func compile(dir string, noDefaults bool) (*policies.Set, error) {
	bundle := policies.Bundle{}
	if dir != "" {
		err := isDirectory(dir)
		if err != nil {
			return nil, err
		}
		if bundle, err = policies.ReadBundle(os.DirFS(dir)); err != nil {
			return nil, inDirectory(dir, err)
		}
	}
	bundle.NoDefaults = noDefaults
	set, err := policies.Compile(bundle)
	if err != nil {
		return nil, inDirectory(dir, err)
	}
	return set, nil
}

func list(out io.Writer, infos []policies.Info) error {
	w := tabwriter.NewWriter(out, 0, 8, 3, ' ', 0)
	fmt.Fprintln(w, "NAME\tTYPE\tACTION\tKINDS OR RESOURCES\tFILE")
	for _, p := range infos {
		about := p.Metadata.Match.Kinds
		if p.Metadata.Type == policies.Authorize {
			about = p.Metadata.Match.Resources
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", p.Name, p.Metadata.Type, p.Metadata.Action, strings.Join(about, ","), p.File)
	}
	return w.Flush()
}

func isDirectory(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("policy directory: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("policy directory: %s is a file", path)
	}
	return nil
}

func inDirectory(dir string, err error) error {
	if dir == "" {
		return err
	}
	return fmt.Errorf("policy directory %s: %w", dir, err)
}
