package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/gatehouse/gatehouse/internal/flags"
)

// compatibleName is the name of the program that this one stands in for.
const compatibleName = "kube-apiserver"

// suggestionDistance is how many edits away the name of a command may be to be suggested.
const suggestionDistance = 2

// newRoot makes the command tree for a program of that name. path is how it was called, for what to type next.
func newRoot(program, path string) *cobra.Command {
	if program == compatibleName {
		cmd := newServe(flags.New(flags.Compatible), path)
		cmd.Use = compatibleName
		cmd.Long = "Serve the Kubernetes API as gatehouse serve --profile=" + string(flags.Compatible) + " does."
		return finish(cmd)
	}
	root := &cobra.Command{
		Use:   "gatehouse",
		Short: "A hardened Kubernetes API server",
		Args:  noSuchCommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.AddGroup(
		&cobra.Group{ID: "server", Title: "Run it:"},
		&cobra.Group{ID: "review", Title: "Review and try out:"},
	)
	root.CompletionOptions.HiddenDefaultCmd = true
	server := []*cobra.Command{newServe(flags.New(flags.Hardened), path), newUser()}
	review := []*cobra.Command{newAudit(), newPolicy()}
	for _, c := range server {
		c.GroupID = "server"
	}
	for _, c := range review {
		c.GroupID = "review"
	}
	root.AddCommand(server...)
	root.AddCommand(review...)
	root.AddCommand(newVersion())
	return finish(root)
}

// finish sets what is the same for every program: one line for an error, the version, no usage text unless asked for.
func finish(root *cobra.Command) *cobra.Command {
	root.SilenceErrors, root.SilenceUsage = true, true
	root.Version = version()
	root.SetVersionTemplate("{{.Version}}\n")
	root.Flags().Bool("version", false, "print the version") // without a shorthand: -v is for verbosity
	root.SuggestionsMinimumDistance = suggestionDistance
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{flags.Explain(err, cmd.Flags())}
	})
	return root
}

// newParent makes a command that only has subcommands.
func newParent(name, short string, children ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use:   name,
		Short: short,
		Args:  noSuchCommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },

		SuggestionsMinimumDistance: suggestionDistance,
	}
	cmd.AddCommand(children...)
	return cmd
}

// noSuchCommand refuses the argument that is left where a subcommand was expected.
func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := ""
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		hint = ": did you mean " + near[0] + "?"
	}
	return usageError{fmt.Errorf("unknown command %q%s: see %s help", args[0], hint, cmd.CommandPath())}
}

// arguments checks how many there are, low to high.
func arguments(low, high int, usage string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) < low || len(args) > high {
			if len(args) > high {
				return usageError{fmt.Errorf("unexpected argument %q, usage: %s", args[high], usage)}
			}
			return usageError{fmt.Errorf("an argument is missing, usage: %s", usage)}
		}
		return nil
	}
}

// untilSignal is a context that ends when the user or the system asks for it.
func untilSignal(ctx context.Context) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
}
