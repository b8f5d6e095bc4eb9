package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/audit"
	"github.com/gatehouse/gatehouse/internal/datadir"
	"github.com/gatehouse/gatehouse/internal/pki"
)

func TestMain(m *testing.M) {
	testscript.Main(leakChecked{m}, map[string]func(){"gatehouse": main, compatibleName: main})
}

// leakChecked fails a run that leaves goroutines behind.
type leakChecked struct{ m *testing.M }

func (l leakChecked) Run() int {
	code := l.m.Run()
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return max(code, 1)
	}
	return code
}

// TestScripts runs the real program, in the way of a user.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"datadir":  makeDataDir,
			"auditlog": makeAuditLog,
			"occupy":   occupy,
			"hold":     hold,
			"exitcode": exitCode,
			"ready":    ready,
		},
	})
}

// exitCode runs a program and fails unless it ends with the given code; its output is that of exec.
func exitCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exitcode code program [args...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		coded, ok := err.(interface{ ExitCode() int })
		if !ok {
			ts.Fatalf("%s: %v", args[1], err)
		}
		got = coded.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// readyLimit bounds the start of a server on a busy machine.
const readyLimit = 2 * time.Minute

// ready waits until the server that uses a data directory says that it is.
func ready(ts *testscript.TestScript, _ bool, args []string) {
	ctx, cancel := context.WithTimeout(context.Background(), readyLimit)
	defer cancel()
	dir := ts.MkAbs(args[0])
	for tick := time.NewTicker(20 * time.Millisecond); !isReady(ctx, dir); {
		select {
		case <-tick.C:
		case <-ctx.Done():
			ts.Fatalf("%s: no server got ready within %v", args[0], readyLimit)
		}
	}
}

func isReady(ctx context.Context, dir string) bool {
	url, err := serverOf(filepath.Join(dir, "admin.kubeconfig"))
	if err != nil {
		return false
	}
	ca, err := os.ReadFile(filepath.Join(dir, "pki", "ca.crt"))
	roots := x509.NewCertPool()
	if err != nil || !roots.AppendCertsFromPEM(ca) {
		return false
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/readyz", nil)
	if err != nil {
		return false
	}
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	return resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
}

// makeDataDir makes the directory that a server which listens on a port would have made.
func makeDataDir(ts *testscript.TestScript, _ bool, args []string) {
	d, err := datadir.Open(datadir.Options{Path: ts.MkAbs(args[0]), MinFree: 1})
	ts.Check(err)
	_, err = pki.Ensure(d.Path(), pki.Options{Clock: time.Now, Server: "https://127.0.0.1:6443"})
	ts.Check(err)
	ts.Check(d.Close())
}

// hold keeps a data directory in use until the script ends.
func hold(ts *testscript.TestScript, _ bool, args []string) {
	d, err := datadir.Open(datadir.Options{Path: ts.MkAbs(args[0]), MinFree: 1})
	ts.Check(err)
	ts.Defer(func() { ts.Check(d.Close()) })
}

// occupy listens on a port until the script ends and puts its number into a variable.
func occupy(ts *testscript.TestScript, _ bool, args []string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { ts.Check(ln.Close()) })
	ts.Setenv(args[0], strconv.Itoa(ln.Addr().(*net.TCPAddr).Port))
}

// makeAuditLog writes the log of a pod that is created, read and refused to be deleted.
func makeAuditLog(ts *testscript.TestScript, _ bool, args []string) {
	log, err := audit.Open(audit.Options{Path: ts.MkAbs(args[0])})
	ts.Check(err)
	for _, r := range []struct {
		user, verb string
		code       int
	}{{"admin", "create", http.StatusCreated}, {"reader", "get", http.StatusOK}, {"reader", "delete", http.StatusForbidden}} {
		rec, err := log.Begin(context.Background(), audit.Request{
			User: api.User{Name: r.user},
			Info: api.RequestInfo{
				IsResource: true, Verb: r.verb, Version: "v1", Resource: "pods", Namespace: "default", Name: "my-awesome-pod",
				Path: "/api/v1/namespaces/default/pods/my-awesome-pod",
			},
			RequestURI: "/api/v1/namespaces/default/pods/my-awesome-pod",
		})
		ts.Check(err)
		rec.Finish(r.code, nil)
	}
	ts.Check(log.Close())
}
