package review_test

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/audit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func noon() time.Time { return time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC) }

// record writes one request to the log.
func record(t testing.TB, l *audit.Log, user, method, target string, code int, change func(*audit.Request, *audit.Record)) {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	info, err := api.ParseRequest(method, u)
	if err != nil {
		t.Fatal(err)
	}
	r := audit.Request{User: api.User{Name: user}, Info: info, RequestURI: target, Received: noon(), AuditID: method + target}
	if change != nil {
		change(&r, nil)
	}
	rec, err := l.Begin(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	if err := rec.Received(context.Background()); err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(&r, rec)
	}
	var status *metav1.Status
	if code >= 400 {
		status = &metav1.Status{Status: "Failure", Code: int32(code), Message: fmt.Sprintf("refused with %d", code)}
	}
	rec.Finish(code, status)
}

func openLog(t testing.TB, o audit.Options) *audit.Log {
	t.Helper()
	l, err := audit.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func closeLog(t testing.TB, l *audit.Log) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// newLog is a closed log with n writes in it, so 2n+2 records, and its segments.
func newLog(t testing.TB, n int, maxSize int64) (path string, files []string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "audit.log")
	l := openLog(t, audit.Options{Path: path, MaxSizeBytes: maxSize, Clock: noon})
	for i := range n {
		record(t, l, "alice", "DELETE", fmt.Sprintf("/api/v1/namespaces/a/pods/p%d", i), 200, nil)
	}
	closeLog(t, l)
	files, err := audit.Segments(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, files
}

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func writeFile(t testing.TB, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// editLines replaces the lines of a file by what change makes of them. Lines hold their newline.
func editLines(t testing.TB, name string, change func(lines [][]byte) [][]byte) {
	t.Helper()
	lines := bytes.SplitAfter(readFile(t, name), []byte("\n"))
	if len(lines[len(lines)-1]) == 0 {
		lines = lines[:len(lines)-1]
	}
	writeFile(t, name, slices.Concat(change(lines)...))
}

// clone copies all files of a log to a new directory.
func clone(t testing.TB, path string) string {
	t.Helper()
	dir := t.TempDir()
	for name, data := range contents(t, path) {
		writeFile(t, filepath.Join(dir, name), data)
	}
	return filepath.Join(dir, filepath.Base(path))
}

func contents(t testing.TB, path string) map[string][]byte {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, e := range entries {
		files[e.Name()] = readFile(t, filepath.Join(filepath.Dir(path), e.Name()))
	}
	return files
}
