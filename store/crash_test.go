package store_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"

	"github.com/gatehouse/gatehouse/store"
	"github.com/gatehouse/gatehouse/store/embedded"
)

// crashDir names the data directory to a child of the test that is there to be killed.
const crashDir = "GATEHOUSE_TEST_CRASH_DIR"

const (
	crashWriters = 4
	crashWrites  = 700 // before a kill; two times this is more than etcd writes between its own snapshots
)

// writeUntilKilled writes to the store in the directory and prints each write after it was acknowledged.
func writeUntilKilled(dir string) int {
	server, err := embedded.Start(context.Background(), embedded.Options{Dir: dir})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	etcd := store.NewEtcd(server.Client(), prefix)
	var group sync.WaitGroup
	for w := range crashWriters {
		group.Go(func() {
			for i := 0; ; i++ {
				k := key(fmt.Sprintf("%d-%d", w, i))
				revision, err := etcd.Create(context.Background(), k, []byte(k), 0)
				if errors.Is(err, store.ErrExists) {
					continue // written before an earlier kill
				}
				if err != nil {
					fmt.Fprintln(os.Stderr, err)
					return
				}
				fmt.Printf("%s %d\n", k, revision)
			}
		})
	}
	group.Wait()
	return 1
}

func TestKillLosesNoAcknowledgedWrite(t *testing.T) {
	dir := t.TempDir()
	acknowledged := map[string]int64{}
	for range 2 {
		before := len(acknowledged)
		runAndKill(t, dir, acknowledged)
		if len(acknowledged) == before {
			t.Fatal("nothing was written before the kill")
		}
		checkAcknowledged(t, dir, acknowledged)
	}
}

// runAndKill kills the child with SIGKILL after some writes and collects all that it has acknowledged.
func runAndKill(t *testing.T, dir string, acknowledged map[string]int64) {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run=^$")
	child.Env = append(os.Environ(), crashDir+"="+dir)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	for n := 0; ; n++ {
		line, err := lines.ReadString('\n')
		if errors.Is(err, io.EOF) {
			break // what was cut off in the middle counts as not acknowledged
		}
		if err != nil {
			t.Fatal(err)
		}
		var k string
		var revision int64
		if _, err := fmt.Sscanf(line, "%s %d\n", &k, &revision); err != nil {
			t.Fatalf("the child printed %q: %v", line, err)
		}
		acknowledged[k] = revision
		if n == crashWrites {
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := child.Wait(); err == nil {
		t.Fatal("the child ended by itself")
	}
}

func checkAcknowledged(t *testing.T, dir string, acknowledged map[string]int64) {
	t.Helper()
	server, err := embedded.Start(t.Context(), embedded.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	etcd := store.NewEtcd(server.Client(), prefix)
	mirror, cache := newMirror(etcd)
	defer run(t, mirror)()
	fresh(t, mirror)
	for k, revision := range acknowledged {
		kv, found, _, err := etcd.Get(t.Context(), k)
		if err != nil || !found || kv.Revision != revision || string(kv.Value) != k {
			t.Errorf("%s was acknowledged at %d: now %v, error %v", k, revision, kv, err)
		}
		if i := cache.Get(k); i == nil || i.Revision != revision {
			t.Errorf("%s at %d is not in the cache", k, revision)
		}
	}
}
