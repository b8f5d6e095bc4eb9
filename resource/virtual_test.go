package resource_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/resource"
)

// tokens issues and reviews tokens that are good for nothing.
type tokens struct{}

func (tokens) IssueToken(_ context.Context, sa *corev1.ServiceAccount, tr *authenticationv1.TokenRequest) (*authenticationv1.TokenRequest, string, []string, error) {
	if len(tr.Spec.Audiences) > 1 {
		return nil, "", nil, api.BadRequest("too many audiences")
	}
	tr.Status.Token = "token-of-" + sa.Name + "-" + string(sa.UID)
	return tr, "JTI=1", []string{"short"}, nil
}

func (tokens) ReviewToken(_ context.Context, token string, audiences []string) (api.User, []string, bool, string) {
	if token != "good" {
		return api.User{}, nil, false, "unknown token"
	}
	return alice, audiences, true, ""
}

const reviews = "/apis/authorization.k8s.io/v1"

// TestReviews asks about users other than the one who asks.
func TestReviews(t *testing.T) {
	c := start(t, func(cfg *resource.Config, c *cluster) {
		cfg.Rules, cfg.Reviewer = rules{}, tokens{}
		c.chain.Deniers = []authz.Authorizer{decider(func(info api.RequestInfo) (authz.Decision, error) {
			switch {
			case info.Resource == "secrets" && info.Namespace == "default" && info.Subresource == "x" && info.Name == "s" && info.Group == "g":
				return authz.Deny, nil
			case info.Path == "/broken":
				return authz.NoOpinion, errors.New("the policy engine is at /var/lib/x")
			}
			return authz.NoOpinion, nil
		})}
	})
	tokenReviews := "/apis/authentication.k8s.io/v1/tokenreviews"
	for name, tc := range map[string]struct {
		path, body string
		code       int
		field      string
		want       any
	}{
		"allowed":         {reviews + "/subjectaccessreviews", `{"spec":{"user":"u","resourceAttributes":{"verb":"get","resource":"pods"}}}`, 0, "status.allowed", true},
		"denied":          {reviews + "/subjectaccessreviews", `{"spec":{"user":"u","resourceAttributes":{"verb":"get","group":"g","namespace":"default","resource":"secrets","subresource":"x","name":"s"}}}`, 0, "status.denied", true},
		"error":           {reviews + "/subjectaccessreviews", `{"spec":{"groups":["g"],"nonResourceAttributes":{"path":"/broken","verb":"get"}}}`, 0, "status.evaluationError", "the request could not be evaluated"},
		"error denies":    {reviews + "/selfsubjectaccessreviews", `{"spec":{"nonResourceAttributes":{"path":"/broken","verb":"get"}}}`, 0, "status.allowed", false},
		"both":            {reviews + "/subjectaccessreviews", `{"spec":{"user":"u","nonResourceAttributes":{"path":"/"},"resourceAttributes":{}}}`, 422, "", nil},
		"none":            {reviews + "/subjectaccessreviews", `{"spec":{}}`, 422, "", nil},
		"nobody":          {reviews + "/subjectaccessreviews", `{"spec":{"resourceAttributes":{"verb":"get"}}}`, 422, "", nil},
		"self of none":    {reviews + "/selfsubjectaccessreviews", `{}`, 422, "", nil},
		"local":           {reviews + "/namespaces/default/localsubjectaccessreviews", `{"spec":{"user":"u","resourceAttributes":{"namespace":"default","verb":"get"}}}`, 0, "metadata.namespace", "default"},
		"local elsewhere": {reviews + "/namespaces/default/localsubjectaccessreviews", `{"spec":{"user":"u","resourceAttributes":{"namespace":"other","verb":"get"}}}`, 422, "", nil},
		"local of a body elsewhere": {
			reviews + "/namespaces/default/localsubjectaccessreviews",
			`{"metadata":{"namespace":"other"},"spec":{"user":"u","resourceAttributes":{"namespace":"other","verb":"get"}}}`, 400, "", nil,
		},
		"local of a path":       {reviews + "/namespaces/default/localsubjectaccessreviews", `{"spec":{"user":"u","nonResourceAttributes":{"path":"/"}}}`, 422, "", nil},
		"local of nothing":      {reviews + "/namespaces/default/localsubjectaccessreviews", `{"spec":{"user":"u"}}`, 422, "", nil},
		"rules":                 {reviews + "/selfsubjectrulesreviews", `{"spec":{"namespace":"default"}}`, 0, "status.incomplete", true},
		"rules of no namespace": {reviews + "/selfsubjectrulesreviews", `{}`, 400, "", nil},
		"self":                  {"/apis/authentication.k8s.io/v1/selfsubjectreviews", `{"metadata":{"name":"x"},"status":{"userInfo":{"username":"root"}}}`, 0, "status.userInfo.username", "alice"},
		"good token":            {tokenReviews, `{"spec":{"token":"good","audiences":["a"]}}`, 0, "status.user.username", "alice"},
		"its token":             {tokenReviews, `{"spec":{"token":"good"}}`, 0, "spec.token", nil},
		"bad token":             {tokenReviews, `{"spec":{"token":"bad"},"status":{"authenticated":true}}`, 0, "status.authenticated", nil},
		"no token":              {tokenReviews, `{"spec":{}}`, 400, "", nil},
		"wrong kind":            {tokenReviews, `{"kind":"Pod"}`, 400, "", nil},
	} {
		r, err := c.do(t, request{verb: "create", path: tc.path, body: tc.body})
		if code(err) != tc.code {
			t.Errorf("%s: %v, want %d", name, err, tc.code)
			continue
		}
		if err != nil {
			continue
		}
		if text := answer(t, r); at(t, text, tc.field) != tc.want || at(t, text, "apiVersion") == nil || r.Code != 201 {
			t.Errorf("%s: %d %s, want %s %v", name, r.Code, text, tc.field, tc.want)
		}
	}
}

// TestWithoutReviewers checks that what nothing answers is not answered with yes.
func TestWithoutReviewers(t *testing.T) {
	c := start(t)
	for path, body := range map[string]string{
		"/apis/authentication.k8s.io/v1/tokenreviews":              `{"spec":{"token":"x"}}`,
		reviews + "/selfsubjectrulesreviews":                       `{"spec":{"namespace":"default"}}`,
		"/api/v1/namespaces/default/serviceaccounts/default/token": `{}`,
	} {
		if _, err := c.do(t, request{verb: "create", path: path, body: body}); code(err) != 404 {
			t.Errorf("%s: %v, want 404", path, err)
		}
	}
}

func TestTokenRequest(t *testing.T) {
	c := start(t, func(cfg *resource.Config, _ *cluster) { cfg.Issuer = tokens{} })
	accounts := "/api/v1/namespaces/default/serviceaccounts"
	made := c.must(t, "create", accounts, `{"metadata":{"name":"a"}}`)
	w := &api.Warnings{}
	var annotated []string
	r, err := c.do(t, request{verb: "create", path: accounts + "/a/token", body: `{"status":{"token":"mine"}}`, write: resource.Write{
		Warnings: w, Annotate: func(key, value string) { annotated = append(annotated, key+"="+value) },
	}})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := at(t, answer(t, r), "status.token"), fmt.Sprint("token-of-a-", at(t, made, "metadata.uid")); got != want {
		t.Errorf("the token is %v, want %v", got, want)
	}
	if diff := cmp.Diff([]string{"authentication.kubernetes.io/issued-credential-id=JTI=1"}, annotated); diff != "" || len(w.List()) != 1 {
		t.Errorf("warnings %q, audit annotations (-want +got):\n%s", w.List(), diff)
	}
	owned := as("me")
	if r, err = c.do(t, request{verb: "create", path: accounts + "/a/token", body: `{"spec":{"audiences":["a"]}}`, write: owned}); err != nil {
		t.Fatal(err)
	}
	want := []string{`me Update authentication.k8s.io/v1 token {"f:spec":{"f:audiences":{},"f:expirationSeconds":{}}}`}
	if diff := cmp.Diff(want, record(t, answer(t, r))); diff != "" {
		t.Errorf("who asked for the token (-want +got):\n%s", diff)
	}
	for name, tc := range map[string]struct {
		path, body string
		code       int
	}{
		"missing account":   {accounts + "/b/token", `{}`, 404},
		"another name":      {accounts + "/a/token", `{"metadata":{"name":"b"}}`, 422},
		"another namespace": {accounts + "/a/token", `{"metadata":{"namespace":"b"}}`, 400},
		"refused":           {accounts + "/a/token", `{"spec":{"audiences":["a","b"]}}`, 400},
	} {
		if _, err := c.do(t, request{verb: "create", path: tc.path, body: tc.body}); code(err) != tc.code {
			t.Errorf("%s: %v, want %d", name, err, tc.code)
		}
	}
	// An account that is gone gets no token from a server whose cache has not heard of that.
	ahead := serve(t, c.client)
	if _, err := c.Mirror.Fresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.freeze()
	ahead.must(t, "delete", accounts+"/a", "")
	if _, err := c.do(t, request{verb: "create", path: accounts + "/a/token", body: `{}`}); code(err) == 0 {
		t.Error("an account that is gone got a token")
	}
}

// TestConversions stores through one version, reads through the other and back: nothing may get lost.
func TestConversions(t *testing.T) {
	c := start(t)
	events, core := "/apis/events.k8s.io/v1/namespaces/default/events", "/api/v1/namespaces/default/events"
	v1, v2 := "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers", "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers"
	for name, tc := range map[string]struct{ write, read, body, field string }{
		"event": {events, core, `{"metadata":{"name":"x","labels":{"a":"b"}},"eventTime":"2026-01-01T00:00:00.123456Z","series":{"count":3,"lastObservedTime":"2026-01-02T00:00:00.000001Z"},
			"reportingController":"c","reportingInstance":"i","action":"act","reason":"because","regarding":{"kind":"Pod","name":"p"},"related":{"kind":"Node","name":"n"},
			"note":"hello","type":"Normal"}`, "message"},
		"core event": {core, events, `{"metadata":{"name":"x"},"involvedObject":{"kind":"Pod","name":"p","uid":"u","fieldPath":"f"},"related":{"kind":"Node","name":"n"},"reason":"r","message":"m",
			"source":{"component":"c","host":"h"},"firstTimestamp":"2026-01-01T00:00:00Z","lastTimestamp":"2026-01-01T00:00:01Z","count":2,"type":"Warning",
			"eventTime":null,"reportingComponent":"","reportingInstance":""}`, "note"},
		"autoscaler v1": {v1, v2, `{"metadata":{"name":"x","annotations":{"a":"b"}},"spec":{"scaleTargetRef":{"kind":"Deployment","name":"d","apiVersion":"apps/v1"},
			"minReplicas":2,"maxReplicas":5,"targetCPUUtilizationPercentage":80}}`, "spec.metrics"},
		"autoscaler v2": {v2, v1, `{"metadata":{"name":"x"},"spec":{"scaleTargetRef":{"apiVersion":"apps/v1","kind":"Deployment","name":"d"},"maxReplicas":5,
			"metrics":[{"type":"Resource","resource":{"name":"memory","target":{"type":"AverageValue","averageValue":"1Gi"}}},
				{"type":"Resource","resource":{"name":"cpu","target":{"type":"Utilization","averageUtilization":50}}}],
			"behavior":{"scaleDown":{"stabilizationWindowSeconds":60}}}}`, "spec.targetCPUUtilizationPercentage"},
	} {
		made := c.must(t, "create", tc.write, tc.body)
		other := c.must(t, "get", tc.read+"/x", "")
		if at(t, other, tc.field) == nil || at(t, other, "metadata.uid") != at(t, made, "metadata.uid") {
			t.Errorf("%s: the other version is %s", name, other)
		}
		c.must(t, "update", tc.read+"/x", other)
		// Who wrote an event is forgotten when it is written through its other group, as the reference does.
		back := object(t, []byte(c.must(t, "get", tc.write+"/x", "")))
		written := object(t, []byte(made))
		for _, o := range []any{written, back} {
			m := o.(map[string]any)["metadata"].(map[string]any)
			delete(m, "managedFields")
			delete(m, "resourceVersion")
		}
		if diff := cmp.Diff(written, back); diff != "" {
			t.Errorf("%s: there and back (-written +read):\n%s", name, diff)
		}
		c.must(t, "delete", tc.read+"/x", "")
	}
	bad := `{"metadata":{"name":"x","annotations":{"autoscaling.alpha.kubernetes.io/metrics":"{"}},
		"spec":{"maxReplicas":1,"scaleTargetRef":{"kind":"Deployment","name":"d","apiVersion":"apps/v1"}}}`
	// The reference takes no notice of metrics that cannot be read.
	if got := c.must(t, "create", v1, bad); at(t, got, "metadata.annotations") != nil || at(t, got, "spec.targetCPUUtilizationPercentage") != 80.0 {
		t.Errorf("metrics that cannot be read became %s", got)
	}
}
