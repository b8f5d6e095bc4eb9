package audit_test

import (
	"bufio"
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"sync"
	"testing"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/audit"
)

// childEnv holds the path of the log that the test binary, started again as a child, appends to until it is killed.
const childEnv = "GATEHOUSE_TEST_AUDIT_LOG"

// child appends from several goroutines and prints the audit ID of each record once it is acknowledged.
func child(path string) {
	l, err := audit.Open(audit.Options{Path: path, MaxSizeBytes: 64 << 10})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	info, err := api.ParseRequest("DELETE", &url.URL{Path: "/api/v1/namespaces/a/pods/b"})
	if err != nil {
		panic(err)
	}
	var mu sync.Mutex
	for w := range 8 {
		go func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%d-%d-%d", os.Getpid(), w, i)
				rec, err := receive(context.Background(), l, audit.Request{AuditID: id, Info: info})
				if err != nil {
					panic(err)
				}
				mu.Lock()
				fmt.Println(id)
				mu.Unlock()
				if i%3 != 0 {
					rec.Finish(200, nil)
				}
			}
		}()
	}
	select {}
}

func TestKilledProcessLosesNoAcknowledgedRecord(t *testing.T) {
	path := logPath(t)
	acknowledged := map[string]bool{}
	for range 3 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"="+path)
		cmd.Stderr = t.Output()
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		s := bufio.NewScanner(out)
		for n := 0; s.Scan(); n++ {
			acknowledged[s.Text()] = true
			if n == 150 {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := cmd.Wait(); err == nil {
			t.Fatal("the child was not killed")
		}
	}
	if len(acknowledged) < 450 {
		t.Fatalf("only %d records were acknowledged", len(acknowledged))
	}
	closeLog(t, open(t, audit.Options{Path: path, Logger: logger(t)}))

	files, err := audit.Segments(path)
	if err != nil {
		t.Fatal(err)
	}
	received, ended := map[string]int{}, map[string]int{}
	next := uint64(1)
	for _, e := range allEvents(t, files...) {
		if e.Chain.Seq != next {
			t.Fatalf("record %d where %d should be", e.Chain.Seq, next)
		}
		next++
		switch e.Stage {
		case audit.StageRequestReceived:
			received[e.AuditID]++
		default:
			ended[e.AuditID]++
		}
	}
	for id := range acknowledged {
		if received[id] != 1 {
			t.Errorf("record %s was acknowledged and is in the log %d times", id, received[id])
		}
	}
	for id := range received {
		if ended[id] != 1 {
			t.Errorf("request %s has %d ends", id, ended[id])
		}
	}
}
