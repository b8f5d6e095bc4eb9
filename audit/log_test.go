package audit_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/audit"
)

func TestWriteIsOnRecordBeforeAndAfter(t *testing.T) {
	path := logPath(t)
	l := open(t, audit.Options{Path: path, Clock: at, Logger: logger(t)})
	rec := begin(t, l, request(t, "POST", "/api/v1/namespaces/default/pods"))
	if got := events(t, path); len(got) != 1 || got[0].Stage != audit.StageRequestReceived {
		t.Fatalf("before the write the log holds %+v", got)
	}
	rec.SetObject("web-x7f2p")
	rec.SetImpersonated(api.User{Name: "bob"})
	rec.Annotate(audit.AnnotationDecision, "allow")
	rec.Annotate(audit.AnnotationPrefix+"notice", "forged")
	rec.Finish(201, nil)
	rec.Finish(500, nil)
	rec.Close()
	closeLog(t, l)

	got := events(t, path)
	if len(got) != 2 {
		t.Fatalf("%d events, want 2", len(got))
	}
	want := audit.Event{
		Kind: "Event", APIVersion: "audit.k8s.io/v1", Level: audit.LevelMetadata, AuditID: "id-POST/api/v1/namespaces/default/pods",
		Stage: audit.StageResponseComplete, RequestURI: "/api/v1/namespaces/default/pods", Verb: "create",
		User:             audit.UserInfo{Username: "alice", Groups: []string{"dev", "system:authenticated"}},
		ImpersonatedUser: &audit.UserInfo{Username: "bob"}, SourceIPs: []string{"203.0.113.9", "127.0.0.1"}, UserAgent: "kubectl/v1.36.3",
		ObjectRef:                &audit.ObjectReference{Resource: "pods", Namespace: "default", Name: "web-x7f2p", APIVersion: "v1"},
		ResponseStatus:           &metav1.Status{Code: 201},
		RequestReceivedTimestamp: metav1.NewMicroTime(at()), StageTimestamp: metav1.NewMicroTime(at()),
		Annotations: map[string]string{audit.AnnotationDecision: "allow", audit.AnnotationMethod: "x509"},
	}
	got[1].Chain = nil
	if diff := cmp.Diff(want, got[1]); diff != "" {
		t.Errorf("ResponseComplete (-want +got):\n%s", diff)
	}
}

func TestStagesByKindOfRequest(t *testing.T) {
	forbidden := &metav1.Status{Status: "Failure", Code: 403, Message: "no"}
	cases := map[string]struct {
		method, target string
		run            func(*audit.Record)
		want           []audit.Stage
	}{
		"a write has an intent and an outcome": {
			"DELETE", "/api/v1/namespaces/a/pods/b", func(r *audit.Record) { r.Finish(200, nil) },
			[]audit.Stage{audit.StageRequestReceived, audit.StageResponseComplete},
		},
		"a read has an outcome": {
			"GET", "/api/v1/pods", func(r *audit.Record) { r.Finish(403, forbidden) },
			[]audit.Stage{audit.StageResponseComplete},
		},
		"a watch has a start and an end": {
			"GET", "/api/v1/pods?watch=1", func(r *audit.Record) { r.ResponseStarted(200); r.Finish(200, nil) },
			[]audit.Stage{audit.StageResponseStarted, audit.StageResponseComplete},
		},
		"an exec has an intent although its verb is get": {
			"GET", "/api/v1/namespaces/a/pods/b/exec?command=id", func(r *audit.Record) { r.Finish(101, nil) },
			[]audit.Stage{audit.StageRequestReceived, audit.StageResponseComplete},
		},
		"a health check is not recorded": {"GET", "/readyz", func(r *audit.Record) { r.Finish(200, nil) }, nil},
		"a handler that panics ends in stage Panic": {
			"PUT", "/api/v1/namespaces/a/pods/b", func(r *audit.Record) { r.Close() },
			[]audit.Stage{audit.StageRequestReceived, audit.StagePanic},
		},
		"nothing starts after the end": {
			"GET", "/api/v1/pods?watch=1", func(r *audit.Record) { r.Finish(200, nil); r.ResponseStarted(200) },
			[]audit.Stage{audit.StageResponseComplete},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			path := logPath(t)
			l := open(t, audit.Options{Path: path})
			c.run(begin(t, l, request(t, c.method, c.target)))
			closeLog(t, l)
			var got []audit.Stage
			for _, e := range events(t, path) {
				got = append(got, e.Stage)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("stages (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNilRecordIgnoresEverything(t *testing.T) {
	var r *audit.Record
	r.Annotate("a", "b")
	r.SetImpersonated(api.User{})
	r.SetObject("x")
	r.SetRequestObject([]byte("{}"))
	r.SetResponseObject([]byte("{}"))
	r.ResponseStarted(200)
	r.Finish(200, nil)
	r.Close()
	if r.AuditID() != "" || r.WantsRequestObject() || r.WantsResponseObject() {
		t.Error("a nil record wants something")
	}
}

func TestFilesAreForTheirOwnerOnly(t *testing.T) {
	path := logPath(t)
	closeLog(t, open(t, audit.Options{Path: path}))
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 5 {
		t.Fatalf("%v, %v; want the log, its checkpoint, two keys and a lock", entries, err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v", e.Name(), info.Mode(), err)
		}
	}
}

func TestChainContinuesOverRestartsAndRotations(t *testing.T) {
	path := logPath(t)
	for range 4 {
		l := open(t, audit.Options{Path: path, MaxSizeBytes: 4 << 10, Clock: at})
		for range 10 {
			begin(t, l, request(t, "DELETE", "/api/v1/namespaces/a/pods/b")).Finish(200, nil)
		}
		closeLog(t, l)
	}
	files, err := audit.Segments(path)
	if err != nil || len(files) < 4 {
		t.Fatalf("segments %v, %v", files, err)
	}
	var last audit.Link
	hasher := audit.NewHasher()
	for _, name := range files {
		if size := len(read(t, name)); size > 4<<10 {
			t.Errorf("%s has %d bytes", name, size)
		}
		for i, line := range lines(t, name) {
			event, link, err := audit.ParseLine(line)
			if err != nil || link.Seq != last.Seq+1 || link.Prev != last.Hash || hasher.Sum(link.Prev, link.Seq, event) != link.Hash {
				t.Fatalf("%s:%d: %+v does not follow %+v (%v)", name, i+1, link, last, err)
			}
			last = link
		}
	}
	if n := len(events(t, files...)); n != 80 {
		t.Errorf("%d events, want 80", n)
	}
}

func TestRetentionIsOnRecordBeforeItHappens(t *testing.T) {
	path := logPath(t)
	l := open(t, audit.Options{Path: path, MaxSizeBytes: 4 << 10, MaxBackups: 2})
	for range 60 {
		begin(t, l, request(t, "DELETE", "/api/v1/namespaces/a/pods/b")).Finish(200, nil)
	}
	closeLog(t, l)
	files, err := audit.Segments(path)
	if err != nil || len(files) != 3 {
		t.Fatalf("segments %v, %v; want 2 backups and the active one", files, err)
	}
	all := allEvents(t, files...)
	var through string
	for _, e := range all {
		if v := e.Annotations[audit.AnnotationRemovedThrough]; v != "" {
			through = v
		}
	}
	if want := all[0].Chain.Seq - 1; want == 0 || through != strconv.FormatUint(want, 10) {
		t.Errorf("the log begins at %d and says that retention removed records through %q", all[0].Chain.Seq, through)
	}
}

func TestRotationKeepsOrderWhenTheClockGoesBack(t *testing.T) {
	path := logPath(t)
	now := at()
	l := open(t, audit.Options{Path: path, MaxSizeBytes: 2 << 10, Clock: func() time.Time { now = now.Add(-time.Hour); return now }})
	for range 12 {
		begin(t, l, request(t, "DELETE", "/api/v1/namespaces/a/pods/b"))
	}
	closeLog(t, l)
	files, err := audit.Segments(path)
	if err != nil {
		t.Fatal(err)
	}
	next := uint64(1)
	for _, e := range allEvents(t, files...) {
		if e.Chain.Seq != next {
			t.Fatalf("record %d where %d should be in %v", e.Chain.Seq, next, files)
		}
		next++
	}
}

func TestStreamIsChainedWithoutFiles(t *testing.T) {
	var out bytes.Buffer
	l, err := audit.OpenStream(audit.Options{}, &out)
	if err != nil {
		t.Fatal(err)
	}
	begin(t, l, request(t, "DELETE", "/api/v1/namespaces/a/pods/b")).Finish(200, nil)
	closeLog(t, l)
	got := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(got) != 4 { // opened, received, complete, closed
		t.Fatalf("%d lines:\n%s", len(got), out.String())
	}
	if _, link, err := audit.ParseLine([]byte(got[3])); err != nil || link.Seq != 4 {
		t.Errorf("%+v, %v", link, err)
	}
}

func TestPolicyCanBeReplaced(t *testing.T) {
	path := logPath(t)
	l := open(t, audit.Options{Path: path})
	p := audit.DefaultPolicy()
	p.Rules = []audit.Rule{{Level: audit.LevelNone}}
	if err := l.SetPolicy(context.Background(), p); err != nil {
		t.Fatal(err)
	}
	if rec := begin(t, l, request(t, "DELETE", "/api/v1/namespaces/a/pods/b")); rec != nil {
		t.Error("the old policy is still in force")
	}
	p = audit.DefaultPolicy()
	p.Rules[0].Level = "Everything"
	if err := l.SetPolicy(context.Background(), p); err == nil {
		t.Error("an invalid policy was taken")
	}
	closeLog(t, l)
	if diff := cmp.Diff([]string{"opened", "policy-changed", "closed"}, notices(t, path)); diff != "" {
		t.Error(diff)
	}
}

func TestClosedLogRefusesRequests(t *testing.T) {
	path := logPath(t)
	l := open(t, audit.Options{Path: path})
	running := begin(t, l, request(t, "GET", "/api/v1/pods"))
	closeLog(t, l)
	running.Finish(200, nil) // must neither block nor panic
	_, err := receive(context.Background(), l, request(t, "DELETE", "/api/v1/namespaces/a/pods/b"))
	var e *api.Error
	if !errors.As(err, &e) || e.Code() != 503 || !strings.Contains(e.Status.Message, "audit record could not be written") {
		t.Errorf("Received = %v", err)
	}
	if err := l.Close(); err != nil {
		t.Errorf("second Close = %v", err)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	if _, err := audit.Open(audit.Options{Path: logPath(t), Policy: &audit.Policy{}}); err == nil {
		t.Error("an empty policy was taken")
	}
	if _, err := audit.Open(audit.Options{Path: logPath(t), Origin: "two words"}); err == nil {
		t.Error("an origin with a space was taken")
	}
}
