package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/server"
)

const pods = "/api/v1/namespaces/default/pods"

// TestStageOrder states the order: when a stage refuses, exactly the stages before it have been asked.
func TestStageOrder(t *testing.T) {
	for _, c := range []struct {
		name    string
		refuse  string
		path    string
		headers []string
		code    int
		reason  metav1.StatusReason
		seen    []string
	}{
		{
			name: "a path that cannot be parsed reaches nobody", path: "/api//v1",
			code: 400, reason: metav1.StatusReasonBadRequest,
		},
		{
			name: "a peer over its limit is not authenticated", refuse: "peer",
			code: 429, reason: metav1.StatusReasonTooManyRequests, seen: []string{"peer"},
		},
		{
			name: "a refused credential is recorded and not authorized", refuse: "authn",
			code: 401, reason: metav1.StatusReasonUnauthorized, seen: []string{"peer", "authn", "penalty", "audit"},
		},
		{
			name: "a malformed credential is not given to the authenticator", headers: []string{"Authorization", "Basic eDp5"},
			code: 401, reason: metav1.StatusReasonUnauthorized, seen: []string{"peer", "penalty", "audit"},
		},
		{
			name: "nothing is done without a record", refuse: "audit",
			code: 500, reason: metav1.StatusReasonInternalError, seen: []string{"peer", "authn", "audit"},
		},
		{
			name: "impersonation is authorized before it has an effect", refuse: "impersonate", headers: []string{"Impersonate-User", "bob"},
			code: 403, reason: metav1.StatusReasonForbidden, seen: []string{"peer", "authn", "audit", "client", "impersonate"},
		},
		{
			name: "each impersonated fact is authorized", headers: []string{"Impersonate-User", "bob", "Impersonate-Group", "ops"},
			code: 200, seen: []string{"peer", "authn", "audit", "client", "impersonate", "impersonate", "authz", "resource"},
		},
		{
			name: "a client over its limit causes no authorization of what it impersonates", refuse: "client",
			headers: []string{"Impersonate-User", "bob", "Impersonate-Group", "ops"},
			code:    429, reason: metav1.StatusReasonTooManyRequests, seen: []string{"peer", "authn", "audit", "client"},
		},
		{
			name: "a client over its limit is not authorized", refuse: "client",
			code: 429, reason: metav1.StatusReasonTooManyRequests, seen: []string{"peer", "authn", "audit", "client"},
		},
		{
			name: "a request that is not permitted is not handled", refuse: "authz",
			code: 403, reason: metav1.StatusReasonForbidden, seen: []string{"peer", "authn", "audit", "client", "authz"},
		},
		{
			name: "a handler refuses last", refuse: "resource",
			code: 404, reason: metav1.StatusReasonNotFound, seen: []string{"peer", "authn", "audit", "client", "authz", "resource"},
		},
		{
			name: "what nobody refuses is served",
			code: 200, seen: []string{"peer", "authn", "audit", "client", "authz", "resource"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			run(t, func(t *testing.T, h *host, s *stages) {
				s.refuse = c.refuse
				path := c.path
				if path == "" {
					path = pods
				}
				a := h.get(t, path, c.headers...)
				if a.StatusCode != c.code {
					t.Errorf("got %d %s, want %d", a.StatusCode, a.body, c.code)
				}
				if c.code != http.StatusOK {
					if got := a.status(t); got.Reason != c.reason || int(got.Code) != c.code {
						t.Errorf("got the Status %+v, want %d %s", got, c.code, c.reason)
					}
				}
				seen, _, _ := s.take()
				if diff := cmp.Diff(c.seen, seen); diff != "" {
					t.Errorf("stages (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestPenalty: an address pays for credentials that are wrong, not for those that could not be checked, or a short outage of
// etcd would lock out everybody behind it.
func TestPenalty(t *testing.T) {
	run(t, func(t *testing.T, h *host, s *stages) {
		for name, tc := range map[string]struct {
			lookup error
			pays   bool
		}{
			"etcd is down":               {api.Unavailable("etcd is not available"), false},
			"etcd does not answer":       {context.DeadlineExceeded, false},
			"the client went away":       {context.Canceled, false},
			"the server made a mistake":  {api.Internal(errors.New("oops")), false},
			"the account does not exist": {api.NotFound(schema.GroupResource{Resource: "serviceaccounts"}, "x"), true},
			"the token is not valid":     {errors.New("has expired"), true},
		} {
			s.lookup = tc.lookup
			if a := h.get(t, pods, "Authorization", "Bearer unchecked"); a.StatusCode != http.StatusUnauthorized {
				t.Errorf("%s: got %d %s", name, a.StatusCode, a.body)
			}
			if seen, _, _ := s.take(); slices.Contains(seen, "penalty") != tc.pays {
				t.Errorf("%s: the stages were %v, want a penalty: %v", name, seen, tc.pays)
			}
		}
	})
}

// TestRefusalsTellNothing guards against causes that reach the client.
func TestRefusalsTellNothing(t *testing.T) {
	run(t, func(t *testing.T, h *host, s *stages) {
		for stage, secret := range map[string]string{"authn": "expired", "audit": "/var/log"} {
			s.refuse = stage
			if a := h.get(t, pods); strings.Contains(a.body, secret) {
				t.Errorf("stage %s: the client was told %s", stage, a.body)
			}
		}
		s.refuse, s.serve = "", func(http.ResponseWriter, *http.Request, authz.Permit) error {
			return fmt.Errorf("dial 10.0.0.9: %w", io.ErrUnexpectedEOF)
		}
		if a := h.get(t, pods); a.StatusCode != 500 || strings.Contains(a.body, "10.0.0.9") {
			t.Errorf("got %d %s, want 500 without the cause", a.StatusCode, a.body)
		}
	})
}

func TestAnswerHeaders(t *testing.T) {
	run(t, func(t *testing.T, h *host, s *stages) {
		ids := map[string]bool{}
		for _, refuse := range []string{"", "peer", "authn", "client", "authz"} {
			s.refuse = refuse
			a := h.get(t, pods, "Audit-Id", "mine")
			id := a.Header.Get("Audit-Id")
			if id == "" || id == "mine" || ids[id] {
				t.Errorf("refused by %q: the Audit-Id %q is not a new one of the server", refuse, id)
			}
			ids[id] = true
			if got := a.Header.Get("Cache-Control"); got != "no-cache, private" {
				t.Errorf("refused by %q: Cache-Control is %q", refuse, got)
			}
			want := map[string]string{"peer": "2", "client": "7"}[refuse]
			if got := a.Header.Get("Retry-After"); got != want {
				t.Errorf("refused by %q: Retry-After is %q, want %q", refuse, got, want)
			}
			if got := a.Header.Get("Www-Authenticate"); got != "" {
				t.Errorf("refused by %q: WWW-Authenticate is %q", refuse, got)
			}
		}
		s.refuse = ""
		if got, want := h.get(t, pods).Header.Values("Warning"), []string{`299 - "say \"hi\""`}; !slices.Equal(got, want) {
			t.Errorf("warnings are %q, want %q", got, want)
		}
	})
}

// TestCredentialIsTakenOff guards against handlers that could log or forward what proves an identity.
func TestCredentialIsTakenOff(t *testing.T) {
	run(t, func(t *testing.T, h *host, s *stages) {
		s.serve = func(w http.ResponseWriter, r *http.Request, _ authz.Permit) error {
			_, err := fmt.Fprint(w, r.Header)
			return err
		}
		a := h.get(t, pods, "Authorization", "Bearer canary", "X-Remote-User", "canary", "Impersonate-User", "canary")
		if a.StatusCode != 200 || strings.Contains(a.body, "canary") {
			t.Errorf("the handler saw %s", a.body)
		}
	})
}

func TestImpersonatedUserIsAuthorized(t *testing.T) {
	run(t, func(t *testing.T, h *host, s *stages) {
		s.serve = func(w http.ResponseWriter, _ *http.Request, p authz.Permit) error {
			_, err := io.WriteString(w, p.User().Name)
			return err
		}
		a := h.get(t, pods, "Impersonate-User", "system:serviceaccount:kube-system:builder")
		if a.body != "system:serviceaccount:kube-system:builder" {
			t.Errorf("acted as %s", a.body)
		}
		_, infos, requests := s.take()
		want := api.RequestInfo{
			IsResource: true, Verb: "impersonate", Version: "v1", Resource: "serviceaccounts", Namespace: "kube-system", Name: "builder",
		}
		if diff := cmp.Diff(want, infos[0]); diff != "" {
			t.Errorf("authorized (-want +got):\n%s", diff)
		}
		if requests[0].User.Name != "alice" {
			t.Errorf("the record began with the user %q, want the one that was authenticated", requests[0].User.Name)
		}
		s.refuse = "authz"
		if a := h.get(t, pods, "Impersonate-User", "system:admin", "Impersonate-Group", api.GroupMasters); a.StatusCode != 403 {
			t.Errorf("impersonating %s gave %d", api.GroupMasters, a.StatusCode)
		}
	})
}

// TestPanic guards the process, the next request and the log from one bad request.
func TestPanic(t *testing.T) {
	run(t, func(t *testing.T, h *host, s *stages) {
		for _, stage := range []string{"peer", "authn", "audit", "client", "authz", "resource"} {
			s.panic = stage
			if a := h.get(t, pods); a.StatusCode != 500 || strings.Contains(a.body, "secret") {
				t.Errorf("a panic in stage %s gave %d %s", stage, a.StatusCode, a.body)
			}
		}
		s.panic = ""
		if a := h.get(t, pods); a.StatusCode != 200 {
			t.Errorf("after the panics: %d", a.StatusCode)
		}
	})
}

// TestFailureAfterTheBeginning guards clients from taking a part for the whole.
func TestFailureAfterTheBeginning(t *testing.T) {
	for name, fail := range map[string]func() error{
		"error": func() error { return errors.New("lost the store") },
		"panic": func() error { panic("boom") },
		"abort": func() error { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, h *host, s *stages) {
				s.serve = func(w http.ResponseWriter, _ *http.Request, _ authz.Permit) error {
					if _, err := io.WriteString(w, "half"); err != nil {
						return err
					}
					if err := http.NewResponseController(w).Flush(); err != nil {
						return err
					}
					return fail()
				}
				if a := h.get(t, pods); a.err == nil {
					t.Errorf("the client took %q for a whole answer", a.body)
				}
			})
		})
	}
}

func TestBodyBound(t *testing.T) {
	run(t, func(t *testing.T, h *host, s *stages) {
		s.serve = func(_ http.ResponseWriter, r *http.Request, _ authz.Permit) error {
			_, err := io.Copy(io.Discard, r.Body)
			return err
		}
		for name, body := range map[string]io.Reader{
			"declared":   strings.NewReader(strings.Repeat("x", server.MaxBodyBytes+1)),
			"undeclared": io.LimitReader(endless{}, server.MaxBodyBytes+1),
		} {
			a := h.do(t, http.MethodPost, pods, body)
			if got := a.status(t); a.StatusCode != 413 || got.Reason != metav1.StatusReasonRequestEntityTooLarge {
				t.Errorf("%s: got %d %s", name, a.StatusCode, a.body)
			}
		}
		s.take()
		if a := h.do(t, http.MethodPost, pods, io.LimitReader(endless{}, server.MaxBodyBytes)); a.StatusCode != 200 {
			t.Errorf("a body of exactly the limit: got %d %s", a.StatusCode, a.body)
		}
		// The body of somebody who may not send one is not read.
		s.refuse = "authz"
		if a := h.do(t, http.MethodPost, pods, strings.NewReader(strings.Repeat("x", server.MaxBodyBytes+1))); a.StatusCode != 403 {
			t.Errorf("a body over the limit of somebody without the right: got %d", a.StatusCode)
		}
	})
}

type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }

func TestRequestTimeout(t *testing.T) {
	run(t, func(t *testing.T, h *host, s *stages) {
		s.serve = func(_ http.ResponseWriter, r *http.Request, _ authz.Permit) error {
			<-r.Context().Done()
			return r.Context().Err()
		}
		if a := h.get(t, pods); a.StatusCode != http.StatusGatewayTimeout {
			t.Errorf("without a timeout in the query: got %d %s", a.StatusCode, a.body)
		}
		if a := h.get(t, pods+"?timeout=1h"); a.StatusCode != http.StatusGatewayTimeout {
			t.Errorf("the query raised the timeout: got %d %s", a.StatusCode, a.body)
		}
		if a := h.get(t, pods+"?timeout=-1s"); a.StatusCode != http.StatusGatewayTimeout {
			t.Errorf("a negative timeout, which kube-apiserver takes for none: got %d %s", a.StatusCode, a.body)
		}
		for _, bad := range []string{"x", "1", strings.Repeat("x", 4000)} {
			a := h.get(t, pods+"?timeout="+bad)
			if a.StatusCode != http.StatusBadRequest || !strings.Contains(a.body, "invalid timeout specified in the request URL - time: ") || len(a.body) > 2000 {
				t.Errorf("timeout=%s: got %d %s", bad, a.StatusCode, a.body)
			}
		}
		s.serve = func(w http.ResponseWriter, r *http.Request, _ authz.Permit) error {
			if _, bounded := r.Context().Deadline(); bounded {
				return errors.New("a watch has a deadline")
			}
			return nil
		}
		if a := h.get(t, pods+"?watch=true"); a.StatusCode != 200 {
			t.Errorf("watch: got %d %s", a.StatusCode, a.body)
		}
	}, func(c *server.Config) { c.RequestTimeout = 50 * time.Millisecond })
}

func TestSourceAddresses(t *testing.T) {
	run(t, func(t *testing.T, h *host, s *stages) {
		h.get(t, pods,
			"X-Forwarded-For", "10.1.1.1, evil\tname, ::ffff:10.2.2.2", "X-Forwarded-For", "10.1.1.1", "X-Real-Ip", "10.3.3.3",
			"User-Agent", strings.Repeat("a", 5000))
		_, _, requests := s.take()
		want := []string{"10.1.1.1", "10.2.2.2", "10.3.3.3", "127.0.0.1"}
		if diff := cmp.Diff(want, requests[0].SourceIPs); diff != "" {
			t.Errorf("sourceIPs (-want +got):\n%s", diff)
		}
		if n := len(requests[0].UserAgent); n != 1024 {
			t.Errorf("the user agent is recorded with %d bytes", n)
		}
		h.get(t, pods, "X-Forwarded-For", strings.Repeat("1.1.1.1,", 10)+manyAddresses(100))
		_, _, requests = s.take()
		if n := len(requests[0].SourceIPs); n != 17 || requests[0].SourceIPs[n-1] != "127.0.0.1" {
			t.Errorf("%d addresses are recorded: %v", n, requests[0].SourceIPs)
		}
	})
}

func manyAddresses(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "10.9.%d.%d,", i/256, i%256)
	}
	return b.String()
}

// TestProbesAreNotLockedOut guards against a busy address that makes a healthy server look dead.
func TestProbesAreNotLockedOut(t *testing.T) {
	run(t, func(t *testing.T, h *host, s *stages) {
		s.refuse = "peer"
		if a := h.get(t, "/livez"); a.StatusCode != 200 {
			t.Errorf("/livez of a limited peer: got %d", a.StatusCode)
		}
		limited := slices.ContainsFunc(slices.Repeat([]string{"/livez"}, 500), func(path string) bool {
			return h.get(t, path).StatusCode == http.StatusTooManyRequests
		})
		if !limited {
			t.Error("the lane for probes has no bound")
		}
	})
}

func TestAnonymousGetsNoConnection(t *testing.T) {
	s := &stages{user: api.User{Name: api.UserAnonymous, Groups: []string{api.GroupUnauthenticated}}}
	h := listen(t, config(t, s), true)
	for range 3 {
		h.get(t, pods)
	}
	reused := 0
	ctx := withReuseCount(context.Background(), &reused)
	for range 3 {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://gatehouse"+pods, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := h.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if reused > 0 {
		t.Errorf("%d anonymous requests shared an HTTP/2 connection", reused)
	}
}
