package embedded_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/goleak"

	"github.com/gatehouse/gatehouse/store"
	"github.com/gatehouse/gatehouse/store/embedded"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(startDir); dir != "" {
		_, err := embedded.Start(context.Background(), embedded.Options{Dir: dir})
		fmt.Print(err)
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// startDir names a data directory to a child of the test that is there to fail on it: what a failed start leaves
// running must end with its process.
const startDir = "GATEHOUSE_TEST_START_DIR"

func start(t *testing.T, o embedded.Options) *embedded.Server {
	t.Helper()
	o.UnsafeNoFsync = true
	server, err := embedded.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return server
}

func put(t *testing.T, server *embedded.Server, key, value string) {
	t.Helper()
	if _, err := server.Client().Put(t.Context(), key, value); err != nil {
		t.Fatal(err)
	}
}

// written makes a data directory with one key and returns it.
func written(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	server := start(t, embedded.Options{Dir: dir})
	put(t, server, "k", "v")
	server.Close()
	return dir
}

func TestDirectoryIsPrivate(t *testing.T) {
	dir := t.TempDir() // 0755
	server := start(t, embedded.Options{Dir: dir})
	put(t, server, "k", "v")
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil || info.Mode()&os.ModeSocket != 0 {
			return err // a socket in a private directory
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %s", path, info.Mode())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestLongPaths(t *testing.T) {
	long := strings.Repeat("long", 30)
	for _, c := range []struct {
		name     string
		dir, tmp string
	}{
		{"data directory", long, ""},
		{"data directory and TMPDIR", long, long},
		{"TMPDIR alone", "d", long},
	} {
		t.Run(c.name, func(t *testing.T) {
			base := t.TempDir()
			tmp := filepath.Join(base, "t", c.tmp)
			if err := os.MkdirAll(tmp, 0o700); err != nil {
				t.Fatal(err)
			}
			t.Setenv("TMPDIR", tmp)
			server := start(t, embedded.Options{Dir: filepath.Join(base, c.dir)})
			put(t, server, "k", "v")
			server.Close()
			server.Close() // a second time, as a cleanup after a failure may
			left, err := os.ReadDir(tmp)
			if err != nil || len(left) > 0 {
				t.Errorf("left behind in TMPDIR: %v, error %v", left, err)
			}
		})
	}
}

func TestRefuses(t *testing.T) {
	write := func(t *testing.T, path, content string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	garbage := strings.Repeat("garbage ", 10000)
	for _, c := range []struct {
		name    string
		prepare func(t *testing.T) (dir string)
		want    string
	}{
		{"a directory with other files in it", func(t *testing.T) string {
			dir := t.TempDir()
			write(t, filepath.Join(dir, "thesis.txt"), "x")
			return dir
		}, `"thesis.txt"`},
		{"a file in the place of the directory", func(t *testing.T) string {
			path := filepath.Join(t.TempDir(), "file")
			write(t, path, "x")
			return path
		}, "not a directory"},
		{"a file in the place of etcd's directory", func(t *testing.T) string {
			dir := t.TempDir()
			write(t, filepath.Join(dir, "member"), "x")
			return dir
		}, "not etcd's data"},
		{"a directory in use", func(t *testing.T) string {
			dir := t.TempDir()
			start(t, embedded.Options{Dir: dir})
			return dir
		}, "another server is using the directory"},
		{"a database that is none", func(t *testing.T) string {
			dir := written(t)
			write(t, filepath.Join(dir, "member", "snap", "db"), garbage)
			return dir
		}, "damaged"},
		{"a database that was cut off", func(t *testing.T) string {
			dir := written(t)
			if err := os.Truncate(filepath.Join(dir, "member", "snap", "db"), 100); err != nil {
				t.Fatal(err)
			}
			return dir
		}, "damaged"},
		{"a log that is none", func(t *testing.T) string {
			dir := written(t)
			logs, err := filepath.Glob(filepath.Join(dir, "member", "wal", "*-*.wal"))
			if err != nil || len(logs) == 0 {
				t.Fatalf("logs %v, error %v", logs, err)
			}
			write(t, logs[0], garbage)
			return dir
		}, "damaged"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := c.prepare(t)
			child := exec.Command(os.Args[0])
			child.Env = append(os.Environ(), startDir+"="+dir, "GORACE=atexit_sleep_ms=0")
			message, err := child.CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, message)
			}
			for _, want := range []string{dir, c.want} {
				if !strings.Contains(string(message), want) {
					t.Errorf("the error %q does not say %q", message, want)
				}
			}
			if strings.Contains(string(message), "\n") {
				t.Errorf("the error has more than one line: %q", message)
			}
		})
	}
}

func TestStartIsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dir := t.TempDir()
	// It may win the race against its own readiness, but never stay half started.
	if server, err := embedded.Start(ctx, embedded.Options{Dir: dir, UnsafeNoFsync: true}); err == nil {
		server.Close()
	}
	put(t, start(t, embedded.Options{Dir: dir}), "k", "v")
}

func TestStoppedIsClosed(t *testing.T) {
	server := start(t, embedded.Options{Dir: t.TempDir()})
	select {
	case <-server.Stopped():
		t.Fatal("stopped at once")
	default:
	}
	server.Close()
	<-server.Stopped()
	if _, err := server.Client().Get(t.Context(), "k"); err == nil {
		t.Error("a stopped server answers")
	}
}

func TestNoSpaceEndsAfterDeletesAndARestart(t *testing.T) {
	o := embedded.Options{Dir: t.TempDir(), QuotaBytes: 8 << 20, UnsafeNoFsync: true}
	server := start(t, o)
	// Of a database that has just been filled a tenth can be free pages, which a restart gives back; how many depends on how
	// etcd batched the writes. What a restart has given back is filled again, until there is nothing left to give.
	used := false
	for round := 0; round < 20 && !used; round++ {
		fill(t, server, round)
		server.Close()
		server = start(t, o)
		_, err := server.Client().Put(t.Context(), "/registry/x", "1")
		used = err != nil
	}
	if !used {
		t.Fatal("the quota is used up and a write succeeds after a restart")
	}
	deleted, err := server.Client().Delete(t.Context(), "/registry/", clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := server.Client().Compact(t.Context(), deleted.Header.Revision, clientv3.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
	server.Close()
	server = start(t, o)
	put(t, server, "/registry/x", "1")
}

// fill writes under /registry until the quota is used up.
func fill(t *testing.T, server *embedded.Server, round int) {
	t.Helper()
	etcd := store.NewEtcd(server.Client(), "/registry")
	value := make([]byte, 16<<10)
	for i := range 1000 {
		_, err := etcd.Create(t.Context(), fmt.Sprintf("/registry/%d/%d", round, i), value, 0)
		if errors.Is(err, store.ErrNoSpace) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("the quota is never used up")
}
