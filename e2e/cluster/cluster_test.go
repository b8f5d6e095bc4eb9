package cluster_test

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/e2e/cluster"
)

func TestBuildRefusesUnknownPrograms(t *testing.T) {
	t.Setenv("GATEHOUSE_E2E_BIN", t.TempDir())
	for _, p := range []cluster.Program{"", "../../bin/sh"} {
		if path, err := cluster.Build(t.Context(), p); err == nil {
			t.Errorf("Build(%q) = %s, want an error", p, path)
		}
	}
}

func TestAuthority(t *testing.T) {
	dir := t.TempDir()
	ca, err := cluster.NewAuthority(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := ca.Serving("serving"); err != nil {
		t.Fatal(err)
	}
	if err := ca.Client("alice", "alice", "devs"); err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(ca.File("ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		t.Fatal("ca.crt holds no certificate")
	}
	for name, use := range map[string]x509.ExtKeyUsage{"serving": x509.ExtKeyUsageServerAuth, "alice": x509.ExtKeyUsageClientAuth} {
		pair, err := tls.LoadX509KeyPair(ca.File(name+".crt"), ca.File(name+".key"))
		if err != nil {
			t.Fatal(err)
		}
		opts := x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{use}}
		if _, err := pair.Leaf.Verify(opts); err != nil {
			t.Errorf("%s does not verify: %v", name, err)
		}
	}
}

// TestStopKills guards against a server that outlives its test because it does
// not listen to SIGTERM.
func TestStopKills(t *testing.T) {
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	p, err := cluster.StartProcess(dir, log, "sh", "-c", `trap "" TERM; echo deaf; while :; do sleep 1; done`)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Kill()
	waitForLog(t, p, log)
	if err := p.Stop(10 * time.Millisecond); err == nil {
		t.Error("Stop of a deaf process: no error")
	}
	select {
	case <-p.Exited():
	default:
		t.Error("the process is still there after Stop")
	}
}

// waitForLog waits until the process has printed something.
func waitForLog(t *testing.T, p *cluster.Process, log string) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		if info, err := os.Stat(log); err == nil && info.Size() > 0 {
			return
		}
		select {
		case <-tick.C:
		case <-p.Exited():
			t.Fatalf("ended early: %v", p.Err())
		}
	}
}
