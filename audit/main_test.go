package audit_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/audit"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		child(path)
		return
	}
	goleak.VerifyTestMain(m)
}

// at is when the requests of the tests arrive.
func at() time.Time { return time.Date(2026, 11, 20, 9, 20, 47, 123456000, time.UTC) }

// request is one by alice, with the info that the server would derive from method and target.
func request(t testing.TB, method, target string) audit.Request {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	info, err := api.ParseRequest(method, u)
	if err != nil {
		t.Fatal(err)
	}
	return audit.Request{
		AuditID: "id-" + method + target, User: api.User{Name: "alice", Groups: []string{"dev", api.GroupAuthenticated}},
		Info: info, SourceIPs: []string{"203.0.113.9", "127.0.0.1"}, UserAgent: "kubectl/v1.36.3", Method: method, RequestURI: target,
		Received: at(), AuthMethod: "x509",
	}
}

func logPath(t testing.TB) string { return filepath.Join(t.TempDir(), "log", "audit.log") }

func open(t testing.TB, o audit.Options) *audit.Log {
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

// begin gives the record of a request that is about to be executed.
func begin(t testing.TB, l *audit.Log, r audit.Request) *audit.Record {
	t.Helper()
	rec, err := receive(context.Background(), l, r)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

func receive(ctx context.Context, l *audit.Log, r audit.Request) (*audit.Record, error) {
	rec, err := l.Begin(ctx, r)
	if err == nil {
		err = rec.Received(ctx)
	}
	return rec, err
}

// events are the events in the files, without the log's own notices.
func events(t testing.TB, files ...string) []audit.Event {
	t.Helper()
	var list []audit.Event
	for _, e := range allEvents(t, files...) {
		if e.Annotations[audit.AnnotationNotice] == "" {
			list = append(list, e)
		}
	}
	return list
}

func notices(t testing.TB, files ...string) []string {
	t.Helper()
	var kinds []string
	for _, e := range allEvents(t, files...) {
		if kind := e.Annotations[audit.AnnotationNotice]; kind != "" {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

func allEvents(t testing.TB, files ...string) []audit.Event {
	t.Helper()
	var list []audit.Event
	for _, name := range files {
		for _, line := range lines(t, name) {
			var e audit.Event
			if err := json.Unmarshal(line, &e); err != nil {
				t.Fatalf("%s: %v\n%s", name, err, line)
			}
			list = append(list, e)
		}
	}
	return list
}

func lines(t testing.TB, name string) [][]byte {
	t.Helper()
	data := read(t, name)
	var list [][]byte
	s := bufio.NewScanner(bytes.NewReader(data))
	s.Buffer(nil, audit.MaxLineBytes)
	for s.Scan() {
		list = append(list, bytes.Clone(s.Bytes()))
	}
	return list
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func write(t testing.TB, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func logger(t testing.TB) *slog.Logger { return slog.New(slog.NewTextHandler(t.Output(), nil)) }
