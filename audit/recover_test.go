package audit_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse/gatehouse/audit"
)

// written is the path of a closed log with n writes in it.
func written(t testing.TB, n int) string {
	t.Helper()
	path := logPath(t)
	l := open(t, audit.Options{Path: path, Clock: at})
	for i := range n {
		begin(t, l, request(t, "DELETE", fmt.Sprintf("/api/v1/namespaces/a/pods/p%d", i))).Finish(200, nil)
	}
	closeLog(t, l)
	return path
}

func TestStartRefusesADamagedLog(t *testing.T) {
	cases := map[string]struct {
		damage func(t *testing.T, path string)
		want   []string // parts of the message
	}{
		"signed record changed": {func(t *testing.T, path string) {
			data := read(t, path)
			at := bytes.LastIndex(data, []byte(`"verb":"notice"`))
			data[at+8] = 'N'
			write(t, path, data)
		}, []string{"audit.log:8:", "record 8", "gatehouse audit verify"}},
		"end cut off at a line": {func(t *testing.T, path string) {
			all := lines(t, path)
			write(t, path, append(bytes.Join(all[:5], []byte("\n")), '\n'))
		}, []string{"audit.log:5:", "cut off", "up to record 8"}},
		"end cut off inside a line": {func(t *testing.T, path string) {
			data := read(t, path)
			write(t, path, data[:len(data)-3])
		}, []string{"audit.log:8:", "cut off"}},
		"line appended by somebody": {func(t *testing.T, path string) {
			write(t, path, append(read(t, path), "{\"kind\":\"Event\"}\n"...))
		}, []string{"audit.log:9:", "not a chained audit record"}},
		"last line repeated": {func(t *testing.T, path string) {
			all := lines(t, path)
			write(t, path, append(append(read(t, path), all[7]...), '\n'))
		}, []string{"audit.log:9:", "record 8 does not follow record 8"}},
		"line of another history appended": {func(t *testing.T, path string) {
			sum := audit.NewHasher().Sum(audit.Digest{}, 9, []byte(`{"kind":"Event"`))
			write(t, path, append(read(t, path), chainLine(`{"kind":"Event"}`, "9", audit.Digest{}.String(), sum.String())+"\n"...))
		}, []string{"audit.log:9:", "record 9 does not follow record 8"}},
		"log removed": {func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}, []string{"the log is gone", "up to 8"}},
		"log emptied": {func(t *testing.T, path string) { write(t, path, nil) }, []string{"cut off", "up to record 8"}},
		"checkpoint removed": {func(t *testing.T, path string) {
			if err := os.Remove(path + audit.SuffixCheckpoint); err != nil {
				t.Fatal(err)
			}
		}, []string{"checkpoint is missing"}},
		"checkpoint changed": {func(t *testing.T, path string) {
			data := read(t, path+audit.SuffixCheckpoint)
			write(t, path+audit.SuffixCheckpoint, bytes.Replace(data, []byte("\n8\n"), []byte("\n7\n"), 1))
		}, []string{"checkpoint", "signature"}},
		"key removed": {func(t *testing.T, path string) {
			if err := os.Remove(path + audit.SuffixKey); err != nil {
				t.Fatal(err)
			}
		}, []string{"another server, or the key"}},
		"key and log removed": {func(t *testing.T, path string) {
			if err := errors.Join(os.Remove(path), os.Remove(path+audit.SuffixKey)); err != nil {
				t.Fatal(err)
			}
		}, []string{"signing key is missing"}},
		"key readable by others": {func(t *testing.T, path string) {
			if err := os.Chmod(path+audit.SuffixKey, 0o644); err != nil {
				t.Fatal(err)
			}
		}, []string{"chmod 600"}},
		"key damaged": {
			func(t *testing.T, path string) { write(t, path+audit.SuffixKey, []byte("PRIVATE+KEY+x\n")) },
			[]string{"signing key is damaged"},
		},
		"another key": {func(t *testing.T, path string) {
			other := written(t, 0)
			write(t, path+audit.SuffixKey, read(t, other+audit.SuffixKey))
		}, []string{"signature"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			path := written(t, 3)
			c.damage(t, path)
			before := contents(t, path)
			l, err := audit.Open(audit.Options{Path: path})
			if err == nil {
				closeLog(t, l)
				t.Fatal("the log was opened")
			}
			for _, part := range c.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("the message does not hold %q: %v", part, err)
				}
			}
			if diff := cmp.Diff(before, contents(t, path)); diff != "" {
				t.Errorf("the evidence was changed:\n%s", diff)
			}
		})
	}
}

// contents are the files beside the log by name.
func contents(t *testing.T, path string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, e := range entries {
		files[e.Name()] = string(read(t, filepath.Join(filepath.Dir(path), e.Name())))
	}
	return files
}

func TestStartRefusesALogOfAnotherServer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	write(t, path, []byte(`{"kind":"Event","apiVersion":"audit.k8s.io/v1"}`+"\n"))
	_, err := audit.Open(audit.Options{Path: path})
	var broken *audit.BrokenError
	if !errors.As(err, &broken) || !strings.Contains(err.Error(), "another server") {
		t.Errorf("Open = %v", err)
	}
}

func TestStartTakesOverAnEmptyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	write(t, path, nil)
	closeLog(t, open(t, audit.Options{Path: path}))
}

func TestSecondServerOnOneLogIsRefused(t *testing.T) {
	path := logPath(t)
	l := open(t, audit.Options{Path: path})
	if _, err := audit.Open(audit.Options{Path: path}); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("second Open = %v", err)
	}
	closeLog(t, l)
}

func TestTornLastLineIsCutOffAndTheCutIsOnRecord(t *testing.T) {
	path := written(t, 2)
	whole := read(t, path)
	write(t, path, append(bytes.Clone(whole), `{"kind":"Event","apiVers`...))
	closeLog(t, open(t, audit.Options{Path: path, Logger: logger(t)}))
	if !bytes.HasPrefix(read(t, path), whole) {
		t.Error("complete lines were changed")
	}
	if diff := cmp.Diff([]string{"opened", "closed", "tail-cut", "opened", "closed"}, notices(t, path)); diff != "" {
		t.Error(diff)
	}
	expectWhole(t, path)
}

// crashed is what is on disk when the process dies now: a copy of the directory.
func crashed(t *testing.T, path string) string {
	t.Helper()
	dir := t.TempDir()
	for name, data := range contents(t, path) {
		write(t, filepath.Join(dir, name), []byte(data))
	}
	return filepath.Join(dir, filepath.Base(path))
}

func TestRequestsRunningAtACrashGetAnUnknownOutcome(t *testing.T) {
	path := logPath(t)
	l := open(t, audit.Options{Path: path, MaxSizeBytes: 2 << 10, Clock: at})
	for i := range 6 {
		begin(t, l, request(t, "DELETE", fmt.Sprintf("/api/v1/namespaces/a/pods/p%d", i)))
	}
	same := request(t, "DELETE", "/api/v1/namespaces/a/pods/same")
	begin(t, l, same).Finish(200, nil)
	begin(t, l, same) // the client chose the same audit ID again
	copied := crashed(t, path)
	closeLog(t, l)
	for range 2 { // the second start finds nothing left to report
		closeLog(t, open(t, audit.Options{Path: copied, Clock: at}))
	}
	files, err := audit.Segments(copied)
	if err != nil || len(files) < 2 {
		t.Fatalf("segments %v, %v; the test wants the requests spread over several", files, err)
	}
	var got []string
	for _, e := range events(t, files...) {
		if e.Annotations[audit.AnnotationOutcome] == "unknown" && e.Stage == audit.StageResponseComplete {
			got = append(got, e.ObjectRef.Name)
		}
	}
	if diff := cmp.Diff([]string{"p0", "p1", "p2", "p3", "p4", "p5", "same"}, got); diff != "" {
		t.Errorf("unknown outcomes (-want +got):\n%s", diff)
	}
	expectWhole(t, copied)
}

func TestStartAfterACrashInsideARotation(t *testing.T) {
	path := written(t, 3)
	if err := os.Rename(path, path+"-20261120T092047.123456Z"); err != nil {
		t.Fatal(err)
	}
	closeLog(t, open(t, audit.Options{Path: path}))
	files, err := audit.Segments(path)
	if err != nil || len(files) != 2 {
		t.Fatalf("segments %v, %v", files, err)
	}
	expectWhole(t, path)
}

func TestStartAfterACrashBeforeTheFirstRecord(t *testing.T) {
	path := logPath(t)
	l := open(t, audit.Options{Path: path})
	closeLog(t, l)
	// Key and checkpoint are made before the log.
	fresh := filepath.Join(t.TempDir(), "audit.log")
	closeLog(t, open(t, audit.Options{Path: fresh}))
	if err := errors.Join(os.Remove(fresh), os.Remove(fresh+audit.SuffixCheckpoint)); err != nil {
		t.Fatal(err)
	}
	if _, err := audit.Open(audit.Options{Path: fresh}); err == nil {
		t.Error("a log without its checkpoint was begun anew")
	}
}

func TestCheckpointFollowsWithinASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := logPath(t)
		l := open(t, audit.Options{Path: path})
		seq := func() uint64 {
			t.Helper()
			cp, err := audit.ReadCheckpoint(path, string(read(t, path+audit.SuffixPublicKey)))
			if err != nil {
				t.Fatal(err)
			}
			return cp.Seq
		}
		if got := seq(); got != 1 {
			t.Fatalf("after the start the checkpoint is at %d", got)
		}
		begin(t, l, request(t, "DELETE", "/api/v1/namespaces/a/pods/b")).Finish(200, nil)
		synctest.Wait()
		if got := seq(); got != 1 {
			t.Errorf("the second checkpoint within a second is at %d", got)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if got := seq(); got != 3 {
			t.Errorf("a second later the checkpoint is at %d, want 3", got)
		}
		time.Sleep(time.Hour)
		begin(t, l, request(t, "GET", "/api/v1/pods")).Finish(200, nil)
		synctest.Wait()
		if got := seq(); got != 4 {
			t.Errorf("after a record that broke an idle time the checkpoint is at %d, want 4", got)
		}
		begin(t, l, request(t, "GET", "/api/v1/pods")).Finish(200, nil)
		closeLog(t, l)
		if got := seq(); got != 6 {
			t.Errorf("after the end the checkpoint is at %d, want 6", got)
		}
	})
}

func TestCheckpointThatCannotBeWrittenIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := logPath(t)
		l := open(t, audit.Options{Path: path, Logger: logger(t)})
		checkpoint := path + audit.SuffixCheckpoint
		if err := errors.Join(os.Remove(checkpoint), os.MkdirAll(filepath.Join(checkpoint, "in-the-way"), 0o700)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		rec := begin(t, l, request(t, "DELETE", "/api/v1/namespaces/a/pods/b"))
		synctest.Wait()
		if l.Healthy() == nil {
			t.Error("the log says that it is healthy")
		}
		if err := os.RemoveAll(checkpoint); err != nil {
			t.Fatal(err)
		}
		rec.Finish(200, nil)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if err := l.Healthy(); err != nil {
			t.Errorf("Healthy = %v", err)
		}
		closeLog(t, l)
	})
}

func FuzzParseCheckpoint(f *testing.F) {
	f.Add(audit.CheckpointText(audit.Checkpoint{Origin: "o", Seq: 7, Head: audit.Digest{1}, Size: 99, Time: at()}))
	f.Add("o\n07\n" + strings.Repeat("A", 43) + "=\nsize 1\ntime 2026-11-20T09:20:47Z\n")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := audit.ParseCheckpoint(text)
		if err == nil && audit.CheckpointText(c) != text {
			t.Errorf("accepted %q, which is written %q", text, audit.CheckpointText(c))
		}
	})
}

// TestTemporaryFilesAreRemoved guards the directory from one more file with each crash in the middle of a checkpoint.
func TestTemporaryFilesAreRemoved(t *testing.T) {
	path := logPath(t)
	closeLog(t, open(t, audit.Options{Path: path}))
	left, mine := path+audit.SuffixCheckpoint+".tmp123", path+".tmp123"
	write(t, left, []byte("half"))
	write(t, mine, []byte("not the log's"))
	closeLog(t, open(t, audit.Options{Path: path}))
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is still there: %v", left, err)
	}
	if _, err := os.Stat(mine); err != nil {
		t.Error(err)
	}
}
