package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/gatehouse/gatehouse/audit"
	"github.com/gatehouse/gatehouse/audit/review"
	"github.com/gatehouse/gatehouse/internal/flags"
	"github.com/gatehouse/gatehouse/internal/pki"
)

func newAudit() *cobra.Command {
	return newParent("audit", "Verify and search the audit log", newAuditVerify(), newAuditQuery())
}

// logFlags say where a log is.
type logFlags struct{ dataDir, path string }

func (l *logFlags) register(f *pflag.FlagSet) {
	f.StringVar(&l.dataDir, "data-dir", defaultDataDir, "data directory of the server")
	f.StringVar(&l.path, "audit-log-path", "", "audit log (default audit/audit.log in the data directory)")
}

func (l *logFlags) file() string {
	if l.path != "" {
		return l.path
	}
	return flags.DefaultAuditLog(l.dataDir)
}

// maxKeyBytes bounds what is read of a verifier key.
const maxKeyBytes = 4 << 10

func newAuditVerify() *cobra.Command {
	var where logFlags
	var keyFile string
	cmd := &cobra.Command{
		Use:   "verify [FILE...]",
		Short: "Find any changed, removed, reordered or cut off record",
		Long: `Find any changed, removed, added, repeated or moved record, and a log that was cut off.

Without files the whole log of a data directory is verified against its signed checkpoint; the
server may be running. With files these are taken as segments that follow each other, without
a checkpoint. Every fault is named with file and line, and ends the command with exit code 1.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := untilSignal(cmd.Context())
			defer cancel()
			source := review.Source{Files: args}
			if len(args) == 0 {
				source.Path = where.file()
				if !exists(source.Path) && !exists(source.Path+audit.SuffixCheckpoint) {
					return noLog(source.Path)
				}
			}
			if keyFile != "" {
				key, err := pki.ReadPublic(keyFile, maxKeyBytes)
				if err != nil {
					return fmt.Errorf("--verifier-key: %w", err)
				}
				source.VerifierKey = string(key)
			}
			r, err := review.Verify(ctx, source)
			if err != nil {
				return err
			}
			return verdict(cmd.OutOrStdout(), &r)
		},
	}
	where.register(cmd.Flags())
	cmd.Flags().StringVar(&keyFile, "verifier-key", "", "copy of the log's .pub file from a trusted place (default the one beside the log)")
	return cmd
}

// exists is false only for what is certainly not there; what cannot be looked at is for who reads it to report.
func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

func noLog(path string) error {
	return fmt.Errorf("there is no audit log at %s: name its data directory with --data-dir or its file with --audit-log-path", path)
}

// verdict prints what was verified, or returns all faults.
func verdict(w io.Writer, r *review.Report) error {
	if !r.OK() {
		faults := []error{fmt.Errorf("the audit log is not intact, faults: %d", r.Found)}
		for _, p := range r.Problems {
			faults = append(faults, problem(p))
		}
		if more := r.Found - len(r.Problems); more > 0 {
			faults = append(faults, fmt.Errorf("... and %d more", more))
		}
		return errors.Join(faults...)
	}
	fmt.Fprintf(w, "ok: %d records, %d to %d, from %s to %s, in files: %d\n", r.Records, r.First, r.Last, day(r.From), day(r.To), len(r.Files))
	if r.RemovedThrough > 0 {
		fmt.Fprintf(w, "records up to %d were removed by retention, as the log says\n", r.RemovedThrough)
	}
	if c := r.Checkpoint; c != nil {
		fmt.Fprintf(w, "signed up to record %d at %s; records after it: %d\n", c.Seq, day(c.Time), r.Unsigned)
	} else {
		fmt.Fprintln(w, "not compared with a checkpoint: a cut at the end would not show")
	}
	if r.OwnKey {
		fmt.Fprintln(w, "the signature was checked with the key beside the log; use --verifier-key with a copy kept elsewhere")
	}
	if r.TornBytes > 0 {
		fmt.Fprintf(w, "the last line is incomplete, %d bytes: it is being written, or a crash left it\n", r.TornBytes)
	}
	return nil
}

func problem(p review.Problem) error {
	at := p.File
	if p.Line > 0 {
		at = fmt.Sprintf("%s line %d", at, p.Line)
	}
	return fmt.Errorf("%s: %s: %s", review.Escape(at), p.Kind, review.Escape(p.Text))
}

func day(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// filterUsages are the flags of audit query that make its filter, by key.
func filterUsages() map[string]string {
	return map[string]string{
		"user":      "user name, or name of the user acted as",
		"verb":      "verb such as create",
		"resource":  "resource such as pods, pods/exec or deployments.apps",
		"namespace": "namespace",
		"name":      "name of the object",
		"id":        "audit id",
		"code":      "status code, or class such as 4xx",
		"decision":  "allow or deny",
		"since":     "earliest time: RFC 3339, or a duration before now such as 90m or 7d",
		"until":     "time before which requests were received, likewise",
		"stage":     "stage of the event, or all (default the stages that end a request)",
		"limit":     "end after so many events, the first of the log",
		"tail":      "only the last so many events",
	}
}

func newAuditQuery() *cobra.Command {
	var where logFlags
	var output string
	cmd := &cobra.Command{
		Use:   "query [KEY=VALUE...]",
		Short: "Search the audit log",
		Long: `Search the audit log. A filter can be given as flags or as arguments KEY=VALUE with the same names;
all must hold. The log is not verified: use gatehouse audit verify for that.`,
		Example: `  gatehouse audit query --decision=deny --since=24h
  gatehouse audit query --tail=20
  gatehouse audit query user=admin verb=delete --output=json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			filter, err := review.ParseFilter(append(terms(cmd.Flags()), args...), time.Now())
			if err != nil {
				return usageError{err}
			}
			write, err := writer(cmd.OutOrStdout(), output)
			if err != nil {
				return usageError{err}
			}
			ctx, cancel := untilSignal(cmd.Context())
			defer cancel()
			stats, err := review.Query(ctx, where.file(), filter, write)
			if errors.Is(err, fs.ErrNotExist) {
				return noLog(where.file())
			}
			if stats.Malformed > 0 {
				fmt.Fprintf(cmd.ErrOrStderr(), "gatehouse: %d lines are no audit events, the first is %s: run gatehouse audit verify\n",
					stats.Malformed, review.Escape(stats.FirstMalformed))
			}
			return err
		},
	}
	where.register(cmd.Flags())
	cmd.Flags().StringVarP(&output, "output", "o", "table", "table or json")
	usages := filterUsages()
	for _, key := range review.FilterKeys() {
		cmd.Flags().String(key, "", usages[key])
	}
	return cmd
}

// terms are the filter flags that were given.
func terms(f *pflag.FlagSet) []string {
	var terms []string
	for _, key := range review.FilterKeys() {
		if f.Changed(key) {
			terms = append(terms, key+"="+f.Lookup(key).Value.String())
		}
	}
	return terms
}

func writer(w io.Writer, output string) (func(review.Found) error, error) {
	switch output {
	case "table":
		return review.NewTable(w).Write, nil
	case "json":
		return review.NewJSON(w).Write, nil
	}
	return nil, fmt.Errorf("--output=%s: want table or json", output)
}
