package review_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/audit"
	"github.com/gatehouse/gatehouse/audit/review"
)

// story is the log of a morning.
func story(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "audit.log")
	now := noon()
	l := openLog(t, audit.Options{Path: path, MaxSizeBytes: 4 << 10, Clock: func() time.Time { return now }})
	at := func(d time.Duration, then func(*audit.Record)) func(*audit.Request, *audit.Record) {
		return func(q *audit.Request, r *audit.Record) {
			q.Received = noon().Add(d)
			if r != nil && then != nil {
				then(r)
			}
		}
	}
	decision := func(d string) func(*audit.Record) {
		return func(r *audit.Record) {
			r.Annotate(audit.AnnotationDecision, d)
			r.Annotate(audit.AnnotationReason, "RBAC said "+d)
		}
	}
	record(t, l, "alice", "POST", "/api/v1/namespaces/default/pods", 201, at(0, func(r *audit.Record) { decision("allow")(r); r.SetObject("web") }))
	record(t, l, "alice", "GET", "/api/v1/namespaces/default/pods", 200, at(time.Minute, decision("allow")))
	record(t, l, "bob", "DELETE", "/api/v1/namespaces/default/pods/web", 403, at(2*time.Minute, decision("forbid")))
	record(t, l, "alice", "POST", "/api/v1/namespaces/default/pods", 403, at(3*time.Minute, decision("allow"))) // by a policy
	record(t, l, "alice", "GET", "/api/v1/namespaces/default/pods/web/log", 200, at(4*time.Minute, decision("allow")))
	record(t, l, "alice", "PUT", "/apis/apps/v1/namespaces/prod/deployments/d", 200, at(5*time.Minute, func(r *audit.Record) {
		decision("allow")(r)
		r.SetImpersonated(api.User{Name: "carol"})
	}))
	record(t, l, "", "GET", "/version", 401, at(6*time.Minute, nil))
	record(t, l, "flood", "GET", "/api/v1/pods", 429, at(7*time.Minute, nil))
	record(t, l, "evil\x1b[2J\u202e\u009b", "GET", "/api/v1/nodes/n\"x", 200, at(8*time.Minute, decision("allow")))
	closeLog(t, l)
	return path
}

func query(t testing.TB, path string, terms ...string) []string {
	t.Helper()
	f, err := review.ParseFilter(terms, noon().Add(10*time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	if _, err := review.Query(context.Background(), path, f, func(found review.Found) error {
		if found.Event.Annotations[audit.AnnotationNotice] == "" {
			got = append(got, strings.TrimPrefix(found.Event.RequestReceivedTimestamp.UTC().Format("04"), "0"))
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestQueryFinds(t *testing.T) {
	path := story(t)
	cases := map[string]struct{ terms, want string }{
		"everything":                        {"", "0 1 2 3 4 5 6 7 8"},
		"by user":                           {"user=bob", "2"},
		"by the user acted as":              {"user=carol", "5"},
		"by a user with control characters": {"user=evil\x1b[2J\u202e\u009b", "8"},
		"by verb":                           {"verb=create", "0 3"},
		"by resource":                       {"resource=pods", "0 1 2 3 7"},
		"by subresource":                    {"resource=pods/log", "4"},
		"by resource and group":             {"resource=deployments.apps", "5"},
		"by resource of another group":      {"resource=deployments.extensions", ""},
		"by namespace":                      {"namespace=prod", "5"},
		"by name":                           {"name=web", "0 2 4"},
		"by a name that JSON escapes":       {`name=n"x`, "8"},
		"by code":                           {"code=403", "2 3"},
		"by class of codes":                 {"code=4xx", "2 3 6 7"},
		"denied, by whomever":               {"decision=deny", "2 3 6"},
		"allowed":                           {"decision=allow", "0 1 4 5 8"},
		"since a time":                      {"since=2026-11-20T12:05:00Z", "5 6 7 8"},
		"since a duration":                  {"since=3m", "7 8"},
		"until":                             {"until=2026-11-20T12:02:00Z", "0 1"},
		"from to":                           {"since=2026-11-20T13:01:00+01:00 until=8m", "1"},
		"limit":                             {"limit=2", "0 1"},
		"several":                           {"user=alice verb=create code=403", "3"},
		"every stage":                       {"stage=all name=web verb=delete", "2 2"},
		"one stage":                         {"stage=RequestReceived", "0 2 3 5"},
		"by id":                             {"id=GET/version", "6"},
		"nothing":                           {"user=nobody", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var terms []string
			if c.terms != "" {
				terms = strings.Split(c.terms, " ")
			}
			// The log begins with a notice, which counts for the limit.
			if name == "limit" {
				terms = append(terms, "verb=create")
				c.want = "0 3"
			}
			if got := strings.Join(query(t, path, terms...), " "); got != c.want {
				t.Errorf("minutes %q, want %q", got, c.want)
			}
		})
	}
}

func TestQueryReadsLogsOfOtherServers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kube.log")
	writeFile(t, path, []byte(`{"kind":"Event","apiVersion":"audit.k8s.io/v1","stage":"ResponseComplete","user":{"username":"alice"},"verb":"get","responseStatus":{"metadata":{},"code":200}}
not json
{"kind":"Other"}
{"kind":"Event","stage":"ResponseComplete","user":{"username":"alice"}`))
	var n int
	s, err := review.Query(context.Background(), path, review.Filter{}, func(review.Found) error { n++; return nil })
	if err != nil || n != 1 || s.Matched != 1 || s.Lines != 3 || s.Malformed != 2 || s.FirstMalformed != path+":2" {
		t.Errorf("%d found, %+v, %v", n, s, err)
	}
}

func TestQueryStopsWhenToldTo(t *testing.T) {
	path := story(t)
	stop := errors.New("stop")
	if _, err := review.Query(context.Background(), path, review.Filter{}, func(review.Found) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("Query = %v", err)
	}
	if _, err := review.Query(context.Background(), path+"x", review.Filter{}, nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Query of a log that is not there = %v", err)
	}
}

// TestTail guards the reviewer from being shown the oldest events of a long log.
func TestTail(t *testing.T) {
	path := story(t)
	if files, err := audit.Segments(path); err != nil || len(files) < 3 {
		t.Fatalf("segments %v, %v: the story is too short", files, err)
	}
	lines := func(f review.Filter) (at []string) {
		t.Helper()
		s, err := review.Query(context.Background(), path, f, func(found review.Found) error {
			if !json.Valid(found.Raw) {
				t.Errorf("the line is %q", found.Raw)
			}
			at = append(at, fmt.Sprintf("%s:%d", found.File, found.Line))
			return nil
		})
		if err != nil || s.Matched != uint64(len(at)) {
			t.Errorf("%+v, %v for %d events", s, err, len(at))
		}
		return at
	}
	for _, user := range []string{"", "alice"} {
		all := lines(review.Filter{User: user})
		for n := 1; n <= len(all)+1; n++ {
			want := all[max(len(all)-n, 0):]
			if diff := cmp.Diff(want, lines(review.Filter{User: user, Tail: n})); diff != "" {
				t.Errorf("user %q, last %d (-want +got):\n%s", user, n, diff)
			}
		}
	}
	stop := errors.New("stop")
	if _, err := review.Query(context.Background(), path, review.Filter{Tail: 2}, func(review.Found) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("Query = %v", err)
	}
}

func TestTableIsSafeForATerminal(t *testing.T) {
	path := story(t)
	var out bytes.Buffer
	table := review.NewTable(&out)
	f, err := review.ParseFilter([]string{"until=5m"}, noon().Add(14*time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := review.Query(context.Background(), path, f, func(found review.Found) error {
		if found.Event.Annotations[audit.AnnotationNotice] != "" {
			return nil
		}
		return table.Write(found)
	}); err != nil {
		t.Fatal(err)
	}
	want := `TIME                  USER                          VERB        TARGET                                        CODE  DECISION  REASON
2026-11-20T12:00:00Z  alice                         create      default/pods/web                              201   allow     RBAC said allow
2026-11-20T12:01:00Z  alice                         list        default/pods                                  200   allow     RBAC said allow
2026-11-20T12:02:00Z  bob                           delete      default/pods/web                              403   deny      refused with 403
2026-11-20T12:03:00Z  alice                         create      default/pods                                  403   deny      refused with 403
2026-11-20T12:04:00Z  alice                         get         default/pods/web log                          200   allow     RBAC said allow
2026-11-20T12:05:00Z  alice as carol                update      prod/deployments.apps/d                       200   allow     RBAC said allow
2026-11-20T12:06:00Z  -                             get         /version                                      401   deny      refused with 401
2026-11-20T12:07:00Z  flood                         list        pods                                          429   -         refused with 429
2026-11-20T12:08:00Z  evil\x1b[2J\u202e\u009b       get         nodes/n"x                                     200   allow     RBAC said allow
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}

func TestJSONIsSafeForATerminalAndMeansTheSame(t *testing.T) {
	path := story(t)
	var out bytes.Buffer
	w := review.NewJSON(&out)
	var want []audit.Event
	if _, err := review.Query(context.Background(), path, review.Filter{Verb: "get"}, func(found review.Found) error {
		want = append(want, found.Event)
		return w.Write(found)
	}); err != nil {
		t.Fatal(err)
	}
	if review.Escape(strings.ReplaceAll(out.String(), "\n", "")) != strings.ReplaceAll(out.String(), "\n", "") {
		t.Errorf("a terminal would act on this:\n%q", out.String())
	}
	var got []audit.Event
	for line := range strings.Lines(out.String()) {
		var e audit.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		got = append(got, e)
	}
	if diff := cmp.Diff(want, got); diff != "" || len(want) == 0 {
		t.Errorf("%d events (-log +output):\n%s", len(want), diff)
	}
}

// TestTableTellsHowManyRefusals guards a reviewer from taking a flood for one request.
func TestTableTellsHowManyRefusals(t *testing.T) {
	var out bytes.Buffer
	e := audit.Event{
		Stage: audit.StageResponseComplete, ResponseStatus: &metav1.Status{Code: 429, Message: "too many requests"},
		Annotations: map[string]string{audit.AnnotationSummarised: "400"},
	}
	if err := review.NewTable(&out).Write(review.Found{Event: e}); err != nil || !strings.Contains(out.String(), "400 refusals, the last: too many requests") {
		t.Errorf("%v: %s", err, out.String())
	}
}

func TestEscape(t *testing.T) {
	cases := map[string]struct{ in, want string }{
		"plain text stays":       {"pods \"x\" é 日本", "pods \"x\" é 日本"},
		"ANSI sequence":          {"\x1b[31m", `\x1b[31m`},
		"newline and delete":     {"a\nb\x7f", `a\nb\x7f`},
		"other white space":      {"a\r\tb\v", `a\r\tb\x0b`},
		"C1 control":             {"\u009b2J", `\u009b2J`},
		"bidi override":          {"\u202egnp.exe", `\u202egnp.exe`},
		"bidi isolate":           {"\u2066x\u2069", `\u2066x\u2069`},
		"zero width":             {"a\u200bb\ufeff", `a\u200bb\ufeff`},
		"line separator":         {"a\u2028b", `a\u2028b`},
		"bytes that are no text": {"a\xff\xfeb", `a\xff\xfeb`},
		"replacement character":  {"\ufffd", "\ufffd"},
		"tag beyond the plane":   {"\U000e0041", `\ue0041`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := review.Escape(c.in); got != c.want {
				t.Errorf("Escape(%q) = %q, want %q", c.in, got, c.want)
			}
		})
	}
}

func TestFilterErrorsSayWhatIsWrong(t *testing.T) {
	cases := map[string]struct {
		terms []string
		want  string
	}{
		"no equals sign":    {[]string{"alice"}, "key=value"},
		"unknown key":       {[]string{"usr=alice"}, "user, verb"},
		"no value":          {[]string{"user="}, "no value"},
		"given twice":       {[]string{"user=a", "user=b"}, "twice"},
		"code no number":    {[]string{"code=abc"}, "4xx"},
		"code out of range": {[]string{"code=600"}, "4xx"},
		"code with a sign":  {[]string{"code=+40"}, "4xx"},
		"class with one x":  {[]string{"code=40x"}, "4xx"},
		"decision":          {[]string{"decision=forbid"}, "allow nor deny"},
		"time":              {[]string{"since=yesterday"}, "RFC 3339"},
		"negative duration": {[]string{"since=-1h"}, "RFC 3339"},
		"endless duration":  {[]string{"since=60000d"}, "RFC 3339"},
		"fraction of a day": {[]string{"since=1.5d"}, "RFC 3339"},
		"since after until": {[]string{"since=1h", "until=2h"}, "not before"},
		"stage":             {[]string{"stage=Done"}, "none of"},
		"limit zero":        {[]string{"limit=0"}, "positive"},
		"limit no number":   {[]string{"limit=x"}, "positive"},
		"tail zero":         {[]string{"tail=0"}, "from 1 to"},
		"tail too long":     {[]string{fmt.Sprint("tail=", review.MaxTail+1)}, "from 1 to"},
		"tail and limit":    {[]string{"tail=1", "limit=1"}, "exclude"},
		"too long":          {[]string{"user=" + strings.Repeat("x", review.MaxFilterTermBytes)}, "longer"},
		"too many terms":    {make([]string, review.MaxFilterTerms+1), "terms"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if _, err := review.ParseFilter(c.terms, noon()); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("ParseFilter = %v, want %q", err, c.want)
			}
		})
	}
}

// FuzzParseFilter checks that what is accepted is within its bounds, and that matching never panics.
func FuzzParseFilter(f *testing.F) {
	for _, seed := range []string{"user=a\nverb=get\ncode=4xx", "since=7d\nuntil=1h", "resource=deployments.apps/scale", "limit=3\nstage=all", "decision=deny", "code=099"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		filter, err := review.ParseFilter(strings.Split(text, "\n"), noon())
		if err != nil {
			return
		}
		if filter.CodeMin < 0 || filter.CodeMax > 599 || filter.CodeMin > filter.CodeMax || filter.Limit < 0 || filter.Tail < 0 || filter.Tail > review.MaxTail || filter.Since.After(noon()) && filter.Since.Equal(filter.Until) {
			t.Errorf("%q gives %+v", text, filter)
		}
		filter.Match(&audit.Event{})
		filter.Match(&audit.Event{ObjectRef: &audit.ObjectReference{Resource: "deployments", APIGroup: "apps"}})
	})
}

// FuzzEscape checks that nothing is left on which a terminal acts.
func FuzzEscape(f *testing.F) {
	f.Add("\x1b[2J\u202e\xff\u009b")
	f.Fuzz(func(t *testing.T, s string) {
		got := review.Escape(s)
		if review.Escape(got) != got {
			t.Errorf("Escape(%q) = %q still needs escaping", s, got)
		}
	})
}
