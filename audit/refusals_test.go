package audit_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/audit"
)

// refuse ends a request with the code before it is received.
func refuse(t testing.TB, l *audit.Log, r audit.Request, code int) {
	t.Helper()
	rec, err := l.Begin(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	rec.Finish(code, &metav1.Status{Code: int32(code), Message: "refused"})
}

// by is the request as made by a user from an address.
func by(r audit.Request, user, address string) audit.Request {
	r.User, r.SourceIPs = api.User{Name: user}, []string{"203.0.113.9", address}
	return r
}

// stands is how many refusals an event stands for.
func stands(t testing.TB, e audit.Event) int {
	t.Helper()
	text, summarised := e.Annotations[audit.AnnotationSummarised]
	if !summarised {
		return 1
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestFloodOfRefusalsIsSummedUp guards the log from a client that ignores refusals: it could push everything older out.
func TestFloodOfRefusalsIsSummedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := logPath(t)
		l := open(t, audit.Options{Path: path, Logger: logger(t)})
		get, write := request(t, "GET", "/api/v1/pods"), request(t, "DELETE", "/api/v1/namespaces/a/pods/b")
		for range 1000 { // for 2.6 seconds, never at the moment of a timer
			refuse(t, l, by(get, "bob", "127.0.0.1"), 429)
			time.Sleep(2600 * time.Microsecond)
		}
		refuse(t, l, by(write, "bob", "127.0.0.1"), 429)
		refuse(t, l, by(get, "carol", "127.0.0.1"), 429)
		time.Sleep(3 * time.Second)
		refuse(t, l, by(get, "bob", "127.0.0.1"), 429)
		refuse(t, l, by(get, "bob", "127.0.0.1"), 429) // still counted when the log is closed
		closeLog(t, l)
		expectWhole(t, path)
		type line struct {
			User, Verb string
			Stands     int
		}
		var got []line
		for _, e := range events(t, path) {
			if e.Stage != audit.StageResponseComplete || e.ResponseStatus.Code != 429 {
				t.Errorf("event %+v", e)
			}
			got = append(got, line{e.User.Username, e.Verb, stands(t, e)})
		}
		want := []line{
			{"bob", "list", 1},
			{"bob", "list", 384},
			{"bob", "list", 385},
			{"bob", "delete", 1},
			{"carol", "list", 1},
			{"bob", "list", 230},
			{"bob", "list", 1},
			{"bob", "list", 1},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if n := l.Stats().Similar; n != 1000 {
			t.Errorf("%d refusals have no event of their own, want 1000", n)
		}
	})
}

// TestFailedAuthenticationIsSummedUpByAddress guards the log from guesses at credentials, also from many addresses.
func TestFailedAuthenticationIsSummedUpByAddress(t *testing.T) {
	for _, c := range []struct {
		name    string
		address func(i int) string
		most    int
	}{
		{"one address", func(int) string { return "192.0.2.1" }, 3},
		{"one IPv6 network", func(i int) string { return fmt.Sprintf("2001:db8::%x", i) }, 3},
		{"many networks", func(i int) string { return fmt.Sprintf("2001:db8:%x::1", i) }, 2*128 + 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				path := logPath(t)
				l := open(t, audit.Options{Path: path, Logger: logger(t)})
				for i := range 1000 {
					refuse(t, l, by(request(t, "GET", "/api/v1/pods"), "", c.address(i)), 401)
					time.Sleep(900 * time.Microsecond)
				}
				time.Sleep(2 * time.Second)
				closeLog(t, l)
				list := events(t, path)
				sum := 0
				for _, e := range list {
					sum += stands(t, e)
				}
				if len(list) > c.most || sum != 1000 {
					t.Errorf("%d events stand for %d refusals, want at most %d for 1000", len(list), sum, c.most)
				}
				shared := slices.ContainsFunc(list, func(e audit.Event) bool { return e.Annotations[audit.AnnotationSummarisedOver] == "all" })
				if want := c.most > 3; shared != want {
					t.Errorf("an event is over all addresses: %v, want %v", shared, want)
				}
			})
		})
	}
}

// TestRefusalsWaitWhileRecordsCannotBeWritten guards both the memory and the numbers of a flood while the disk is full.
func TestRefusalsWaitWhileRecordsCannotBeWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path, d := logPath(t), &disk{}
		l, err := audit.OpenWrapped(audit.Options{Path: path, MaxQueueBytes: 16 << 10}, d.wrap)
		if err != nil {
			t.Fatal(err)
		}
		d.failWrites(slices.Repeat([]func(audit.File, []byte) (int, error){noSpace}, 1000)...)
		_, err = receive(context.Background(), l, request(t, "DELETE", "/api/v1/namespaces/a/pods/b"))
		refusedAs503(t, err)
		accepted := 0
		for range 100 * 100 {
			rec, err := l.Begin(context.Background(), by(request(t, "GET", "/api/v1/pods"), "bob", "127.0.0.1"))
			if err == nil {
				accepted++
				rec.Finish(429, nil)
			}
			time.Sleep(10 * time.Millisecond)
		}
		if s := l.Stats(); s.Queued > 16<<10 {
			t.Errorf("the queue holds %d bytes", s.Queued)
		}
		d.failWrites()
		time.Sleep(3 * time.Second)
		closeLog(t, l)
		sum := 0
		for _, e := range events(t, path) {
			sum += stands(t, e)
		}
		if sum != accepted || accepted == 0 {
			t.Errorf("the events stand for %d refusals, want %d", sum, accepted)
		}
		expectWhole(t, path)
	})
}

// TestRefusedBeforeItIsReceived states what is on record of a request that nothing was done for: one event, whichever stages the
// policy omits.
func TestRefusedBeforeItIsReceived(t *testing.T) {
	for _, c := range []struct {
		name string
		omit []audit.Stage
		want []audit.Stage
	}{
		{"all stages", nil, []audit.Stage{audit.StageResponseComplete}},
		{"without RequestReceived", []audit.Stage{audit.StageRequestReceived}, []audit.Stage{audit.StageResponseComplete}},
		{"only RequestReceived", []audit.Stage{audit.StageResponseComplete}, []audit.Stage{audit.StageRequestReceived}},
		{"neither", []audit.Stage{audit.StageRequestReceived, audit.StageResponseComplete}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			path, p := logPath(t), audit.DefaultPolicy()
			p.OmitStages = c.omit
			l := open(t, audit.Options{Path: path, Policy: p})
			refuse(t, l, request(t, "DELETE", "/api/v1/namespaces/a/pods/b"), 429)
			closeLog(t, l)
			var got []audit.Stage
			for _, e := range events(t, path) {
				got = append(got, e.Stage)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestRefusalByTheHandlerIsNotSummedUp guards refusals that come after the request was received, such as an eviction that a
// disruption budget does not allow: each is the end of an event of its own.
func TestRefusalByTheHandlerIsNotSummedUp(t *testing.T) {
	path := logPath(t)
	l := open(t, audit.Options{Path: path})
	for range 3 {
		begin(t, l, request(t, "POST", "/api/v1/namespaces/a/pods/b/eviction")).Finish(429, nil)
	}
	closeLog(t, l)
	if n := len(events(t, path)); n != 6 {
		t.Errorf("%d events, want 6", n)
	}
}
