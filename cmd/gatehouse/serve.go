package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse/gatehouse/internal/datadir"
	"github.com/gatehouse/gatehouse/internal/flags"
)

// stopGrace is how long the server may take to end after the first signal, beside what the flags give it for it.
const stopGrace = 5 * time.Second

// How serving can end after a signal, other than well.
var (
	errInterrupted = errors.New("ended at once by a second signal: requests that were being answered got no answer")
	errNotEnded    = fmt.Errorf("did not end within %v of the signal and was ended at once", stopGrace)
)

// serving is one run of the command serve.
type serving struct {
	flags   *flags.Set
	path    string // how the program was called
	signals <-chan os.Signal
	wire    func(context.Context, wiring) (service, error)
	stdout  io.Writer
	stderr  io.Writer
}

func newServe(set *flags.Set, path string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve the Kubernetes API",
		Long: `Serve the Kubernetes API.

Without any flag it keeps everything in ./gatehouse-data: an embedded etcd, a certificate
authority, the audit log and the administrator's kubeconfig. Flags that kube-apiserver has
too mean the same here.`,
		Args: arguments(0, 0, "gatehouse serve [flags]"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			// Room for a second signal, which ends what the first one does not.
			signals := make(chan os.Signal, 2)
			signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
			defer signal.Stop(signals)
			s := &serving{flags: set, path: path, signals: signals, wire: wire, stdout: cmd.OutOrStdout(), stderr: cmd.ErrOrStderr()}
			return s.run(cmd.Context())
		},
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().AddFlagSet(set.FlagSet())
	cmd.SetUsageFunc(func(cmd *cobra.Command) error {
		_, err := io.WriteString(cmd.OutOrStdout(), usage(cmd, set))
		return err
	})
	return cmd
}

// usage lists the flags under their headings.
func usage(cmd *cobra.Command, set *flags.Set) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Usage:\n  %s [flags]\n", cmd.CommandPath())
	for _, g := range set.Groups() {
		fmt.Fprintf(&b, "\n%s flags:\n\n%s", g.Title, g.Flags.FlagUsagesWrapped(usageColumns))
	}
	fmt.Fprintf(&b, "\nOther flags:\n\n  -h, --help      print this text\n")
	if cmd.Version != "" {
		fmt.Fprintf(&b, "      --version   print the version\n")
	}
	return b.String()
}

const usageColumns = 160

// run makes everything that serving needs, in the order in which it can fail without having touched anything.
func (s *serving) run(ctx context.Context) (err error) {
	opts, notes, err := s.flags.Options()
	if err != nil {
		return usageError{err}
	}
	logger := newLogger(s.stderr, opts)
	w := wiring{options: opts, logger: logger, flags: s.flags.Effective()}
	if opts.DataDir != "" {
		if w.dir, err = datadir.Open(datadir.Options{Path: opts.DataDir}); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, w.dir.Close()) }()
	}
	if w.listener, err = listen(ctx, opts); err != nil {
		return err
	}
	defer func() {
		// The server closes it too, at the beginning of its end.
		if e := w.listener.Close(); !errors.Is(e, net.ErrClosed) {
			err = errors.Join(err, e)
		}
	}()
	w.url = opts.LocalURL(w.listener.Addr().(*net.TCPAddr).Port)
	if err := w.ensureKeys(); err != nil {
		return err
	}
	logger.Info("starting", "version", version(), "flags", s.flags)
	for _, note := range append(notes, w.notes()...) {
		logger.Warn(note)
	}
	return s.serve(ctx, w)
}

// serve runs the wired server until it fails or a signal ends it.
func (s *serving) serve(ctx context.Context, w wiring) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		service, err := s.wire(ctx, w)
		if err == nil {
			err = service(ctx, func() { s.greet(w) })
		}
		ended <- err
	}()
	select {
	case err := <-ended:
		return err
	case sig := <-s.signals:
		w.logger.Info("stopping", "signal", sig.String())
		cancel()
	}
	given := w.options.Transport
	limit := time.NewTimer(stopGrace + given.ShutdownDelay + given.ShutdownWatchGrace)
	defer limit.Stop()
	select {
	case err := <-ended:
		return afterSignal(err, w.logger)
	case <-s.signals:
		return errInterrupted
	case <-limit.C:
		return errNotEnded
	}
}

// afterSignal makes a success of an end that was asked for.
func afterSignal(err error, logger *slog.Logger) error {
	if err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	logger.Info("stopped")
	return nil
}

// greet says where the server is and what to type next.
func (s *serving) greet(w wiring) {
	fmt.Fprintf(s.stdout, "serving on %s\n", w.url)
	if w.dir == nil {
		return
	}
	dir := filepath.Clean(w.options.DataDir)
	kubectl := "kubectl --kubeconfig " + filepath.Join(dir, "admin.kubeconfig")
	fmt.Fprintf(s.stdout, `
Type next, in another terminal:

  %[1]s get pods
  %[1]s get namespaces
  %[2]s user create reader --data-dir %[3]s
  %[2]s audit query --data-dir %[3]s

Ctrl-C ends the server.
`, kubectl, s.path, dir)
}
