package webhook_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authn"
	"github.com/gatehouse/gatehouse/authn/webhook"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// service answers with a text and keeps what it was asked.
type service struct {
	answer string
	err    error
	asked  string
}

func (s *service) Post(_ context.Context, question, answer any) error {
	data, err := json.Marshal(question)
	if err != nil {
		return err
	}
	if s.asked = string(data); s.err != nil {
		return s.err
	}
	return json.Unmarshal([]byte(s.answer), answer)
}

func TestAuthenticate(t *testing.T) {
	const head = `{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","status":`
	const good = `{"authenticated":true,"user":{"username":"alice","uid":"7","groups":["g"],"extra":{"k":["v"]}}`
	alice := api.User{Name: "alice", UID: "7", Groups: []string{"g"}, Extra: map[string][]string{"k": {"v"}}}
	tests := map[string]struct {
		version   string // default: v1
		audiences []string
		answer    string
		err       error
		asks      string
		want      []string // the audiences; nil: nobody
		says      string   // of the error
		code      int      // inside the error
	}{
		"a user": {answer: head + good + `}}`, asks: `"audiences":["api"]`, want: []string{"api"}},
		"a user in the older version": {
			version: "v1beta1", answer: strings.Replace(head, "/v1", "/v1beta1", 1) + good + `}}`, asks: `"apiVersion":"authentication.k8s.io/v1beta1"`, want: []string{"api"},
		},
		"asked for an audience":                  {audiences: []string{"vault", "x"}, answer: head + good + `,"audiences":["vault"]}}`, asks: `"audiences":["vault","x"]`, want: []string{"vault"}},
		"for another audience than asked":        {answer: head + good + `,"audiences":["vault"]}}`},
		"without audiences, asked for another's": {audiences: []string{"vault"}, answer: head + good + `}}`},
		"not authenticated":                      {answer: head + `{"authenticated":false,"user":{"username":"alice"}}}`},
		"not authenticated, and why":             {answer: head + `{"error":"too \n late"}}`, says: `"too \n late"`},
		"authenticated, but the text says error": {answer: head + good + `,"error":"x"}}`, want: []string{"api"}},
		"an answer of another version":           {answer: strings.Replace(head, "/v1", "/v2", 1) + good + `}}`, says: "authentication.k8s.io/v2", code: http.StatusServiceUnavailable},
		"an answer of another kind":              {answer: `{"status":` + good + `}}`, says: "want TokenReview", code: http.StatusServiceUnavailable},
		"no answer":                              {err: errors.New("no route"), says: "no route", code: http.StatusServiceUnavailable},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if tc.version == "" {
				tc.version = "v1"
			}
			s := &service{answer: tc.answer, err: tc.err}
			a, err := webhook.New(webhook.Options{Service: s, Version: tc.version, Audiences: []string{"api"}})
			if err != nil {
				t.Fatal(err)
			}
			res, err := a.Authenticate(t.Context(), authn.Credentials{BearerToken: "canary", HasBearer: true, Audiences: tc.audiences})
			if (err != nil) != (tc.says != "") || (err != nil && (!strings.Contains(err.Error(), tc.says) || strings.Contains(err.Error(), "canary"))) {
				t.Fatalf("error = %v, want %q", err, tc.says)
			}
			var e *api.Error
			if errors.As(err, &e) != (tc.code != 0) || (e != nil && e.Code() != tc.code) {
				t.Errorf("error = %v, want code %d", err, tc.code)
			}
			var want *authn.Result
			if tc.want != nil {
				want = &authn.Result{User: alice, Method: "webhook", Audiences: tc.want, Remote: true}
			}
			if diff := cmp.Diff(want, res); diff != "" {
				t.Errorf("result (-want +got):\n%s", diff)
			}
			if !strings.Contains(s.asked, tc.asks) || !strings.Contains(s.asked, `"token":"canary"`) {
				t.Errorf("asked %s, want %s", s.asked, tc.asks)
			}
		})
	}
}

func TestNewRefusesAnotherVersion(t *testing.T) {
	_, err := webhook.New(webhook.Options{Service: &service{}, Version: "v2"})
	if err == nil || err.Error() != `unsupported authentication webhook version "v2", supported versions are "v1", "v1beta1"` {
		t.Errorf("error = %v", err)
	}
}

func TestWithoutATokenNobodyIsAsked(t *testing.T) {
	s := &service{err: errors.New("asked")}
	a, err := webhook.New(webhook.Options{Service: s, Version: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	if res, err := a.Authenticate(t.Context(), authn.Credentials{}); res != nil || err != nil {
		t.Errorf("result = %v, %v", res, err)
	}
}
