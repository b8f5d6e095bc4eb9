package audit_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/audit"
)

// canary must not be found in a log, however it is spelled.
const canary = "c4n4ry-S3cret-Value"

func jwt() string { return "eyJhbGciOiJSUzI1NiJ9." + canary + ".c2ln" }

// recordAll is a policy that asks for everything.
func recordAll(t testing.TB) *audit.Policy {
	t.Helper()
	p, err := audit.ParsePolicy("all", []byte(policyHead+"omitManagedFields: true\nrules: [{level: RequestResponse}]"))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestCredentialsNeverReachTheLog(t *testing.T) {
	body := `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"db","annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"data\":\"` +
		canary + `\"}"}},"stringData":{"password":"` + canary + `"}}`
	bodies := func(b string) func(*audit.Record) {
		return func(r *audit.Record) { r.SetRequestObject([]byte(b)); r.SetResponseObject([]byte(b)) }
	}
	cases := map[string]struct {
		method, target string
		run            func(*audit.Record)
	}{
		"secret":                      {"POST", "/api/v1/namespaces/a/secrets", bodies(body)},
		"secret with base64 data":     {"PUT", "/api/v1/namespaces/a/secrets/db", bodies(`{"data":{"p":"` + base64.StdEncoding.EncodeToString([]byte(canary)) + `"}}`)},
		"patch of a secret":           {"PATCH", "/api/v1/namespaces/a/secrets/db", bodies(`[{"op":"add","path":"/stringData/p","value":"` + canary + `"}]`)},
		"list of secrets":             {"GET", "/api/v1/secrets", bodies(`{"kind":"SecretList","items":[` + body + `]}`)},
		"secret as a table":           {"GET", "/api/v1/secrets", bodies(`{"kind":"Table","rows":[{"object":{"x":"` + canary + `"}}]}`)},
		"token request":               {"POST", "/api/v1/namespaces/a/serviceaccounts/s/token", bodies(`{"status":{"token":"` + canary + `"}}`)},
		"token review":                {"POST", "/apis/authentication.k8s.io/v1/tokenreviews", bodies(`{"spec":{"token":"` + canary + `"}}`)},
		"secret sent to another path": {"POST", "/api/v1/namespaces/a/pods", bodies(body)},
		"kind in another case":        {"POST", "/api/v1/namespaces/a/pods", bodies(strings.Replace(body, `"kind":"Secret"`, `"Kind":"secret"`, 1))},
		"secrets in a list":           {"POST", "/api/v1/namespaces/a/pods", bodies(`{"kind":"List","items":[[` + body + `]]}`)},
		"last applied of a secret": {"POST", "/api/v1/namespaces/a/pods", bodies(
			`{"kind":"Pod","metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"kind\":\"Secret\",\"data\":\"` + canary + `\"}"}}}`)},
		"last applied outside metadata": {"POST", "/api/v1/namespaces/a/pods", bodies(
			`{"a":[{"kubectl.kubernetes.io/last-applied-configuration":{"data":"` + canary + `"}}]}`)},
		"last applied with its kind escaped": {"POST", "/api/v1/namespaces/a/pods", bodies(
			`{"metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"kind\":\"S\\u0065cret\",\"data\":\"` + canary + `\"}"}}}`)},
		"patch of the annotations with last applied": {"PATCH", "/api/v1/namespaces/a/pods/p", bodies(
			`[{"op":"add","path":"/metadata/annotations","value":{"kubectl.kubernetes.io/last-applied-configuration":"` + canary + `"}}]`)},
		"patch of last applied": {"PATCH", "/api/v1/namespaces/a/pods/p", bodies(
			`[{"op":"add","path":"/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration","value":"` + canary + `"}]`)},
		"managed fields":       {"POST", "/api/v1/namespaces/a/pods", bodies(`{"kind":"Pod","metadata":{"managedFields":[{"f":"` + canary + `"}]}}`)},
		"body that is no JSON": {"POST", "/api/v1/namespaces/a/pods", bodies("password: " + canary)},
		"two bodies":           {"POST", "/api/v1/namespaces/a/pods", bodies(`{} {"a":"` + canary + `"}`)},
		"refused secret, quoted in the message": {"POST", "/api/v1/namespaces/a/secrets", func(r *audit.Record) {
			r.Finish(422, &metav1.Status{
				Status: "Failure", Message: "Invalid value: " + canary,
				Details: &metav1.StatusDetails{Causes: []metav1.StatusCause{{Message: canary}}},
			})
		}},
		"token in a message":       {"POST", "/api/v1/namespaces/a/pods", func(r *audit.Record) { r.Finish(400, &metav1.Status{Message: "bad token " + jwt()}) }},
		"token in a cause":         {"POST", "/api/v1/namespaces/a/pods", func(r *audit.Record) { r.Finish(400, causes("Bearer "+canary)) }},
		"token in an annotation":   {"POST", "/api/v1/namespaces/a/pods", func(r *audit.Record) { r.Annotate("x/y", "Authorization: bearer "+canary) }},
		"basic credentials":        {"POST", "/api/v1/namespaces/a/pods", func(r *audit.Record) { r.Annotate("x/y", "got Basic "+canary+"== instead") }},
		"access_token":             {"GET", "/api/v1/pods?access_token=" + canary + "&watch=1", nil},
		"parameter name encoded":   {"GET", "/api/v1/pods?acc%65ss_tok%65n=" + canary, nil},
		"parameter name malformed": {"GET", "/api/v1/pods?acc%zz=" + canary, nil},
		"parameter in upper case":  {"GET", "/api/v1/pods?X-Api-Key=" + canary, nil},
		"after a semicolon":        {"GET", "/api/v1/pods?a=b;password=" + canary, nil},
		"value with equal signs":   {"GET", "/api/v1/pods?client_secret=a=" + canary, nil},
		"token as any parameter":   {"GET", "/api/v1/pods?q=" + jwt(), nil},
		"command of an exec":       {"GET", "/api/v1/namespaces/a/pods/p/exec?command=sh&command=-c&command=" + canary + "&stdin=true", nil},
		"proxied credentials":      {"GET", "/api/v1/namespaces/a/services/s/proxy/login?user=a&passwd=" + canary, nil},
		"user in an absolute URI":  {"GET", "https://admin:" + canary + "@host/api/v1/pods", nil},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			path := logPath(t)
			l := open(t, audit.Options{Path: path, Policy: recordAll(t), Logger: logger(t)})
			u := strings.ReplaceAll(c.target, "%zz", "")
			r := request(t, c.method, u)
			r.AuditID, r.RequestURI = "id", c.target
			rec := begin(t, l, r)
			if c.run != nil {
				c.run(rec)
			}
			rec.Finish(200, nil)
			closeLog(t, l)
			if n := len(events(t, path)); n != 2 {
				t.Fatalf("%d events", n)
			}
			log := read(t, path)
			for how, spelled := range map[string]string{
				"plain": canary, "base64": base64.StdEncoding.EncodeToString([]byte(canary))[:20], "hex": hex.EncodeToString([]byte(canary)),
				"query": url.QueryEscape(canary),
			} {
				if bytes.Contains(log, []byte(spelled)) {
					t.Errorf("the secret is in the log (%s):\n%s", how, log)
				}
			}
		})
	}
}

func causes(message string) *metav1.Status {
	return &metav1.Status{Details: &metav1.StatusDetails{Causes: []metav1.StatusCause{{Message: message}}}}
}

func TestUserAgentTokensAreReplaced(t *testing.T) {
	path := logPath(t)
	l := open(t, audit.Options{Path: path})
	r := request(t, "GET", "/api/v1/pods")
	r.UserAgent = "curl/8 Bearer " + canary + " " + jwt() + " end"
	begin(t, l, r).Finish(200, nil)
	closeLog(t, l)
	if got, want := events(t, path)[0].UserAgent, "curl/8 Bearer REDACTED REDACTED end"; got != want {
		t.Errorf("user agent %q, want %q", got, want)
	}
}

func TestWhatIsNoSecretStaysReadable(t *testing.T) {
	cases := map[string]string{
		"/api/v1/pods?labelSelector=app%3Dweb&limit=500&continue=abc": "/api/v1/pods?labelSelector=app%3Dweb&limit=500&continue=abc",
		"/api/v1/pods?fieldSelector=spec.nodeName%3Dn1":               "/api/v1/pods?fieldSelector=spec.nodeName%3Dn1",
		"/api/v1/namespaces/a/pods/p/exec?command=ls&stdin=true":      "/api/v1/namespaces/a/pods/p/exec?command=REDACTED&stdin=true",
		"/api/v1/namespaces/a/secrets/db":                             "/api/v1/namespaces/a/secrets/db",
		"/?":                                                          "/?",
		"":                                                            "",
	}
	path := logPath(t)
	l := open(t, audit.Options{Path: path})
	for uri := range cases {
		r := request(t, "GET", "/api/v1/pods")
		r.AuditID, r.RequestURI = "of "+uri, uri
		begin(t, l, r).Finish(200, nil)
	}
	closeLog(t, l)
	for _, e := range events(t, path) {
		if want := cases[strings.TrimPrefix(e.AuditID, "of ")]; e.RequestURI != want {
			t.Errorf("%s is recorded as %q, want %q", e.AuditID, e.RequestURI, want)
		}
	}
}

func TestBodiesAreRecordedWhereThePolicyWantsThem(t *testing.T) {
	path := logPath(t)
	l := open(t, audit.Options{Path: path, Policy: recordAll(t)})
	rec := begin(t, l, request(t, "POST", "/api/v1/namespaces/a/pods"))
	rec.SetRequestObject([]byte("{\n \"n\": 12345678901234567890, \"ref\": {\"kind\":\"Secret\",\"name\":\"db\"},\n \"a\":\"<\"}"))
	rec.SetResponseObject(bytes.Repeat([]byte(" "), audit.MaxObjectBytes+1))
	rec.Finish(201, nil)
	closeLog(t, l)
	e := events(t, path)[1]
	want := `{"a":"\u003c","n":12345678901234567890,"ref":{"kind":"Secret","name":"db","redacted":true}}`
	if got := string(e.RequestObject); got != want || e.ResponseObject != nil || e.Annotations[audit.AnnotationTruncated] != "true" {
		t.Errorf("recorded %s, %s, %v", got, e.ResponseObject, e.Annotations)
	}
}

func TestMetadataLevelHasNoBodies(t *testing.T) {
	path := logPath(t)
	l := open(t, audit.Options{Path: path})
	rec := begin(t, l, request(t, "POST", "/api/v1/namespaces/a/pods"))
	rec.SetRequestObject([]byte(`{}`))
	rec.SetResponseObject([]byte(`{}`))
	rec.Finish(201, nil)
	closeLog(t, l)
	if e := events(t, path)[1]; e.RequestObject != nil || e.ResponseObject != nil {
		t.Errorf("bodies at level Metadata: %s %s", e.RequestObject, e.ResponseObject)
	}
}

func TestAttackerControlledTextIsBounded(t *testing.T) {
	long := strings.Repeat("é", 64<<10)
	path := logPath(t)
	l := open(t, audit.Options{Path: path})
	r := request(t, "DELETE", "/api/v1/namespaces/a/pods/b")
	r.AuditID, r.UserAgent, r.RequestURI = long, long, "/"+long+"?"+long
	r.Info.Name, r.Info.Namespace, r.Info.Verb = long, long, long
	r.User = api.User{Name: long, UID: long, Groups: make([]string, 10_000), Extra: map[string][]string{}}
	for i := range 10_000 {
		r.User.Extra[fmt.Sprint(i)] = []string{long[:100], long}
	}
	r.SourceIPs = append(make([]string, 10_000), "192.0.2.1")
	rec := begin(t, l, r)
	for i := range 200 {
		rec.Annotate(fmt.Sprint(i, long), long)
	}
	rec.Finish(400, &metav1.Status{Message: long, Details: &metav1.StatusDetails{Name: long, Causes: make([]metav1.StatusCause, 10_000)}})
	closeLog(t, l)
	for _, line := range lines(t, path) {
		if len(line) > 1<<20 {
			t.Errorf("a line of %d bytes", len(line))
		}
	}
	e := events(t, path)[1]
	if !utf8.ValidString(e.UserAgent) || !strings.HasSuffix(e.UserAgent, "bytes]") || len(e.UserAgent) > audit.MaxUserAgentBytes+40 {
		t.Errorf("user agent of %d bytes ends in %q", len(e.UserAgent), e.UserAgent[len(e.UserAgent)-20:])
	}
	if len(e.Annotations) > audit.MaxAnnotations || e.SourceIPs[len(e.SourceIPs)-1] != "192.0.2.1" {
		t.Errorf("%d annotations, peer %v", len(e.Annotations), e.SourceIPs)
	}
}

func TestForgedLinesAreEscaped(t *testing.T) {
	path := logPath(t)
	l := open(t, audit.Options{Path: path})
	r := request(t, "GET", "/api/v1/pods")
	r.UserAgent = "x\"}\n{\"kind\":\"Event\"}\r\n\x1b[2J\x00"
	begin(t, l, r).Finish(200, nil)
	closeLog(t, l)
	got := events(t, path)
	if len(got) != 1 {
		t.Fatalf("%d events", len(got))
	}
	if diff := cmp.Diff(r.UserAgent, got[0].UserAgent); diff != "" {
		t.Error(diff)
	}
}

// TestRefusalOfSecretsSaysWhy guards two people: the owner of a secret whose body a message may quote, and the reviewer who wants to know why
// somebody was refused.
func TestRefusalOfSecretsSaysWhy(t *testing.T) {
	for name, c := range map[string]struct {
		received bool
		decision string
		code     int
		shown    bool
	}{
		"not authorized":                   {true, "forbid", 403, true},
		"refused by admission":             {true, "allow", 403, false},
		"may not impersonate":              {false, "", 403, true},
		"over its limit":                   {false, "", 429, true},
		"invalid":                          {true, "allow", 422, false},
		"cannot be decoded":                {true, "allow", 400, false},
		"no authorizer has said who it is": {true, "", 403, false},
		"conflict":                         {true, "allow", 409, true},
	} {
		t.Run(name, func(t *testing.T) {
			path := logPath(t)
			l := open(t, audit.Options{Path: path})
			rec, err := l.Begin(context.Background(), request(t, "POST", "/api/v1/namespaces/a/secrets"))
			if err != nil {
				t.Fatal(err)
			}
			if c.received {
				if err := rec.Received(context.Background()); err != nil {
					t.Fatal(err)
				}
			}
			if c.decision != "" {
				rec.Annotate(audit.AnnotationDecision, c.decision)
			}
			rec.Finish(c.code, &metav1.Status{Message: "why"})
			closeLog(t, l)
			list := events(t, path)
			want := "REDACTED"
			if c.shown {
				want = "why"
			}
			if got := list[len(list)-1].ResponseStatus.Message; got != want {
				t.Errorf("the message is %q, want %q", got, want)
			}
		})
	}
}

// TestRefusedObjectIsNamed guards the review of a create that a policy refused: only the body names the object.
func TestRefusedObjectIsNamed(t *testing.T) {
	path := logPath(t)
	l := open(t, audit.Options{Path: path})
	rec := begin(t, l, request(t, "POST", "/api/v1/namespaces/a/pods"))
	rec.SetObject("web")
	rec.Finish(403, &metav1.Status{Message: "refused by a policy"})
	closeLog(t, l)
	list := events(t, path)
	if len(list) != 2 || list[0].ObjectRef.Name != "" || list[1].ObjectRef.Name != "web" {
		t.Errorf("events %+v", list)
	}
}

// FuzzRedactURI checks that the value of a secret parameter is gone wherever it stands, and that a second pass changes nothing.
func FuzzRedactURI(f *testing.F) {
	f.Add("/api/v1/pods?watch=1", "access_token", "&limit=1")
	f.Add("https://u:p@h/x", "Client%2dSecret", ";a=b?c=d")
	f.Add("/a?b=c?d", "command", "#x")
	f.Fuzz(func(t *testing.T, before, name, after string) {
		uri := before + "?a=b&" + name + "=" + canary + after
		got := audit.RedactURI(uri)
		if !utf8.ValidString(uri) || len(uri) > audit.MaxURIBytes/2 {
			return
		}
		if again := audit.RedactURI(got); again != got {
			t.Errorf("%q becomes %q, and then %q", uri, got, again)
		}
		decoded, err := url.QueryUnescape(name)
		if err == nil && strings.EqualFold(decoded, "access_token") && strings.Contains(got, canary) {
			t.Errorf("%q becomes %q", uri, got)
		}
	})
}

// FuzzObjectForLog checks that a recorded body is compact JSON as the encoder of events expects it, and is not changed by a second pass.
func FuzzObjectForLog(f *testing.F) {
	f.Add([]byte(`{"kind":"Secret","metadata":{"name":"a"},"data":{"b":"c"}}`))
	f.Add([]byte(`[{"kind":"List","items":[{"metadata":{"managedFields":[],"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"Secret"}}}]}, 1e400, "<"]`))
	f.Add([]byte("{}\n{}"))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := audit.ObjectForLog(body)
		if err != nil {
			return
		}
		want, err := json.Marshal(json.RawMessage(got))
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%q becomes %q, which the library writes %q (%v)", body, got, want, err)
		}
		if again, err := audit.ObjectForLog(got); err != nil || !bytes.Equal(again, got) {
			t.Errorf("%q becomes %q, and then %q (%v)", body, got, again, err)
		}
	})
}
