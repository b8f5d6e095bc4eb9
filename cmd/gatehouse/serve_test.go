package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse/gatehouse/internal/flags"
)

var errBroken = errors.New("disk on fire")

// onCancel is a service that ends a while after it is asked to, with an error.
func onCancel(delay time.Duration, err error) service {
	return func(ctx context.Context, ready func()) error {
		ready()
		<-ctx.Done()
		time.Sleep(delay)
		return err
	}
}

func TestSignals(t *testing.T) {
	tests := []struct {
		name    string
		service service
		signals []time.Duration // when
		want    error           // errors.Is
		after   time.Duration   // how long it took
	}{
		{"the first ends it gently", onCancel(time.Second, nil), []time.Duration{time.Minute}, nil, time.Minute + time.Second},
		{"a cancelled context is what was asked for", onCancel(0, context.Canceled), []time.Duration{0}, nil, 0},
		{"an end that fails is told", onCancel(0, errBroken), []time.Duration{0}, errBroken, 0},
		{
			"the second does not wait", onCancel(time.Minute, nil),
			[]time.Duration{0, time.Second},
			errInterrupted, time.Second,
		},
		{"an end that hangs is bounded", onCancel(time.Minute, nil), []time.Duration{0}, errNotEnded, stopGrace},
		{
			"a service that fails by itself is not waited for",
			func(context.Context, func()) error { return errBroken }, nil, errBroken, 0,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				signals := make(chan os.Signal, 2)
				s := &serving{
					signals: signals, stdout: io.Discard,
					wire: func(context.Context, wiring) (service, error) { return tt.service, nil },
				}
				go func() {
					begin := time.Now()
					for _, at := range tt.signals {
						time.Sleep(time.Until(begin.Add(at)))
						signals <- syscall.SIGTERM
					}
				}()
				begin := time.Now()
				err := s.serve(t.Context(), wiring{options: &flags.Options{}, logger: slog.New(slog.DiscardHandler)})
				if !errors.Is(err, tt.want) {
					t.Errorf("error = %v, want %v", err, tt.want)
				}
				if took := time.Since(begin); took != tt.after {
					t.Errorf("ended after %v, want %v", took, tt.after)
				}
				time.Sleep(time.Hour) // what was not waited for ends too
			})
		})
	}
}

func TestSignalWhileStarting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		signals := make(chan os.Signal, 2)
		s := &serving{signals: signals, stdout: io.Discard, wire: func(ctx context.Context, _ wiring) (service, error) {
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}}
		signals <- os.Interrupt
		if err := s.serve(t.Context(), wiring{options: &flags.Options{}, logger: slog.New(slog.DiscardHandler)}); err != nil {
			t.Errorf("error = %v, want an end as asked for", err)
		}
	})
}

// TestServeNoFlags runs all of the command but the service itself.
func TestServeWithoutFlags(t *testing.T) {
	t.Chdir(t.TempDir())
	set := flags.New(flags.Hardened)
	if err := set.FlagSet().Parse([]string{"--secure-port=0"}); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	var url string
	s := &serving{flags: set, path: "./bin/gatehouse", stdout: &stdout, stderr: &stderr}
	s.wire = func(_ context.Context, w wiring) (service, error) {
		url = w.url
		for _, file := range []string{w.servingCert, w.servingKey, w.material.CACert, w.material.ServiceAccountKey} {
			if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("key material %s: %v, %v; want it with mode 0600", file, info, err)
			}
		}
		return func(_ context.Context, ready func()) error {
			ready()
			return w.listener.Close()
		}, nil
	}
	if err := s.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(stdout.String(), "serving on "+url+"\n") {
		t.Errorf("output does not begin with the address %s:\n%s", url, stdout.String())
	}
	for _, want := range []string{"kubectl --kubeconfig gatehouse-data/admin.kubeconfig get pods", "./bin/gatehouse audit query"} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("output does not say to type %q:\n%s", want, stdout.String())
		}
	}
	kubeconfig, err := os.ReadFile("gatehouse-data/admin.kubeconfig")
	if err != nil || !strings.Contains(string(kubeconfig), "server: "+url+"\n") {
		t.Errorf("admin.kubeconfig does not lead to %s: %v", url, err)
	}
	if !strings.Contains(stderr.String(), "flags.secure-port=0") {
		t.Errorf("the log lacks the options:\n%s", stderr.String())
	}
}

func TestListenSaysWhatToDo(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	tests := []struct {
		name string
		opts flags.Options
		want string
	}{
		{
			"a port that is taken",
			flags.Options{BindAddress: netip.MustParseAddr("127.0.0.1"), SecurePort: taken.Addr().(*net.TCPAddr).Port},
			taken.Addr().String() + " is in use by another process: stop that, or choose a port with --secure-port",
		},
		{
			"an address of another machine",
			flags.Options{BindAddress: netip.MustParseAddr("192.0.2.1")},
			"192.0.2.1:0 is not an address of this machine: choose one with --bind-address",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ln, err := listen(t.Context(), &tt.opts)
			if err == nil {
				ln.Close()
				t.Fatal("it listens")
			}
			if !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("error = %q, want it to begin %q", err, tt.want)
			}
		})
	}
}
