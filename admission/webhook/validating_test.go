package webhook_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/admission/webhook"
	"github.com/gatehouse/gatehouse/authz"
)

// raw answers with a status and a body.
func raw(code int, body string) answer {
	return func(w http.ResponseWriter, _ *http.Request, _ *admissionv1.AdmissionRequest) {
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}

const failing = `500 InternalError Internal error occurred: failed calling webhook "x.example.org": `

// answersTo are what a webhook at /x may answer, and what the client is told of it with failurePolicy Fail and with Ignore.
func answersTo() map[string]struct {
	answer       answer
	fail, ignore string
} {
	patch := admissionv1.PatchTypeJSONPatch
	denied := says(admissionv1.AdmissionResponse{Result: &metav1.Status{Code: 418, Reason: "Teapot", Message: "no"}})
	return map[string]struct {
		answer       answer
		fail, ignore string
	}{
		"allowed":             {allows(), "", ""},
		"denied":              {denied, `418 Teapot admission webhook "x.example.org" denied the request: no`, `418 Teapot admission webhook "x.example.org" denied the request: no`},
		"denied with nothing": {says(admissionv1.AdmissionResponse{}), `400  admission webhook "x.example.org" denied the request without explanation`, `400  admission webhook "x.example.org" denied the request without explanation`},
		"a denial is never a success": {
			says(admissionv1.AdmissionResponse{Result: &metav1.Status{Code: 200, Status: "Success", Reason: "r"}}),
			`400 r admission webhook "x.example.org" denied the request: r`, `400 r admission webhook "x.example.org" denied the request: r`,
		},
		"a code that HTTP does not have": {
			says(admissionv1.AdmissionResponse{Result: &metav1.Status{Code: 100000}}),
			`400  admission webhook "x.example.org" denied the request without explanation`, `400  admission webhook "x.example.org" denied the request without explanation`,
		},
		"500":           {raw(500, "boom"), failing + `failed to call webhook: an error on the server ("boom") has prevented the request from succeeding`, ""},
		"nothing":       {raw(200, ""), failing + "failed to call webhook: 0-length response with status code: 200 and content type: text/plain", ""},
		"a redirection": {raw(302, "away"), failing + "failed to call webhook: the server responded with the status code 302 but did not return more information", ""},
		"garbage": {
			raw(200, "garbage"), failing + "failed to call webhook: couldn't get version/kind; json parse error: json: cannot unmarshal string into Go value of type " +
				`struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }`, "",
		},
		"another uid": {
			func(w http.ResponseWriter, _ *http.Request, _ *admissionv1.AdmissionRequest) {
				write(w, &admissionv1.AdmissionResponse{Allowed: true, UID: "1"})
			},
			failing + `received invalid webhook response: expected response.uid="UID", got "1"`, "",
		},
		"no response": {
			func(w http.ResponseWriter, _ *http.Request, _ *admissionv1.AdmissionRequest) { write(w, nil) },
			failing + "received invalid webhook response: webhook response was absent", "",
		},
		"a patch": {
			says(admissionv1.AdmissionResponse{Allowed: true, Patch: []byte("[]"), PatchType: &patch}),
			failing + "received invalid webhook response: validating webhook may not return response.patch", "",
		},
	}
}

// TestValidatingAnswers guards that only an allowing answer to this very question allows, and that failurePolicy is about nothing but failures.
func TestValidatingAnswers(t *testing.T) {
	for name, test := range answersTo() {
		t.Run(name, func(t *testing.T) {
			s := serve(t, map[string]answer{"/x": test.answer})
			for policy, want := range map[*func(*admissionregistrationv1.MutatingWebhook)]string{nil: test.fail, ptr(ignore): test.ignore} {
				change := func(*admissionregistrationv1.MutatingWebhook) {}
				if policy != nil {
					change = *policy
				}
				a := create(t)
				got := text(t, newValidating(t, world{}, s.hook("/x", change)).Validate(t.Context(), a.Attributes))
				got = strings.ReplaceAll(got, string(s.seen[len(s.seen)-1].UID), "UID")
				if got != want {
					t.Errorf("ignore %t:\n got %s\nwant %s", policy != nil, got, want)
				}
				open := a.annotations["failed-open.validating.webhook.admission.k8s.io/round_0_index_0"]
				if (open != "") != (policy != nil && test.fail != test.ignore) {
					t.Errorf("failed open: %q", open)
				}
			}
		})
	}
}

func ptr[T any](v T) *T { return &v }

// TestValidatingAsksAllAndTellsOfThem has several webhooks warn and annotate; the first in order that denies is the refusal.
func TestValidatingAsksAllAndTellsOfThem(t *testing.T) {
	deny := func(m string) answer {
		return says(admissionv1.AdmissionResponse{
			Result: &metav1.Status{Message: m}, Warnings: []string{m + "\nwarns"}, AuditAnnotations: map[string]string{"k": m, "a/b": "no key"},
		})
	}
	s := serve(t, map[string]answer{"/a": allows(), "/b": deny("one"), "/c": deny("two")})
	a := create(t)
	err := newValidating(t, world{}, s.hook("/a", nil), s.hook("/b", nil), s.hook("/c", nil)).Validate(t.Context(), a.Attributes)
	if got := text(t, err); got != `400  admission webhook "b.example.org" denied the request: one` {
		t.Error(got)
	}
	if diff := cmp.Diff([]string{"one warns", "two warns"}, a.Warnings.List()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]string{"b.example.org/k": "one", "c.example.org/k": "two"}, a.annotations); diff != "" {
		t.Error(diff)
	}
	q := s.seen[0]
	if q.Name != "c" || q.Namespace != "ns" || q.Operation != "CREATE" || q.UserInfo.Username != "alice" || *q.DryRun || q.OldObject.Raw != nil ||
		!strings.HasPrefix(string(q.Object.Raw), `{"kind":"ConfigMap","apiVersion":"v1",`) {
		t.Errorf("%+v %s", q, q.Object.Raw)
	}
}

// TestDryRuns guards that a webhook with side effects is not asked about a dry run.
func TestDryRuns(t *testing.T) {
	s := serve(t, map[string]answer{"/x": allows()})
	some := admissionregistrationv1.SideEffectClassSome
	for name, test := range map[string]struct {
		effects *admissionregistrationv1.SideEffectClass
		want    string
	}{
		"some":    {&some, `400 BadRequest admission webhook "x.example.org" does not support dry run`},
		"unknown": {nil, failing + "Webhook SideEffects is nil"},
	} {
		t.Run(name, func(t *testing.T) {
			a := create(t)
			a.DryRun = true
			v := newValidating(t, world{}, s.hook("/x", func(h *admissionregistrationv1.MutatingWebhook) { h.SideEffects = test.effects }))
			if got := text(t, v.Validate(t.Context(), a.Attributes)); got != test.want {
				t.Error(got)
			}
		})
	}
	if len(s.paths()) > 0 {
		t.Errorf("asked %v", s.paths())
	}
}

// TestOnlyTheNamedAuthority guards that what answers is the webhook: at its URL, and as a Service under the Service's name.
func TestOnlyTheNamedAuthority(t *testing.T) {
	s := serve(t, map[string]answer{"/x": allows()})
	other := serve(t, nil)
	service := func(h *admissionregistrationv1.MutatingWebhook) {
		h.ClientConfig.URL, h.ClientConfig.Service = nil, &admissionregistrationv1.ServiceReference{Namespace: "ns", Name: "svc"}
	}
	for name, test := range map[string]struct {
		world  world
		change func(h *admissionregistrationv1.MutatingWebhook)
		want   string
	}{
		"no authority":              {world{}, func(h *admissionregistrationv1.MutatingWebhook) { h.ClientConfig.CABundle = nil }, "certificate signed by unknown authority"},
		"a bad authority":           {world{}, func(h *admissionregistrationv1.MutatingWebhook) { h.ClientConfig.CABundle = []byte("x") }, "unable to load root certificates"},
		"plain HTTP":                {world{}, func(h *admissionregistrationv1.MutatingWebhook) { h.ClientConfig.URL = ptr("http" + s.URL[5:] + "/x") }, "no https URL"},
		"a Service of that address": {world{other.Listener.Addr().String()}, service, "not svc.ns.svc"},
		"no such Service":           {world{}, service, `Post "https://svc.ns.svc:443/?timeout=10s": service "svc" not found`},
		"only v1beta1":              {world{}, func(h *admissionregistrationv1.MutatingWebhook) { h.AdmissionReviewVersions = []string{"v1beta1"} }, "does not accept known AdmissionReview versions"},
		"nowhere":                   {world{}, func(h *admissionregistrationv1.MutatingWebhook) { h.ClientConfig.URL = nil }, "must have either service or URL"},
	} {
		t.Run(name, func(t *testing.T) {
			got := text(t, newValidating(t, test.world, s.hook("/x", test.change)).Validate(t.Context(), create(t).Attributes))
			if !strings.HasPrefix(got, failing) || !strings.Contains(got, test.want) {
				t.Error(got)
			}
		})
	}
	if len(s.paths())+len(other.paths()) > 0 {
		t.Errorf("asked %v %v", s.paths(), other.paths())
	}
}

// TestCanceledRequest ends with the request while a webhook does not answer.
func TestCanceledRequest(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := serve(t, map[string]answer{"/x": func(_ http.ResponseWriter, r *http.Request, _ *admissionv1.AdmissionRequest) {
		cancel()
		<-r.Context().Done()
	}})
	for _, change := range []func(*admissionregistrationv1.MutatingWebhook){nil, ignore} {
		if got := text(t, newValidating(t, world{}, s.hook("/x", change)).Validate(ctx, create(t).Attributes)); got == "" {
			t.Error("admitted")
		}
	}
}

// TestNotReady guards that nothing is admitted while nobody knows what webhooks there are, but for their own objects and the server's writes.
func TestNotReady(t *testing.T) {
	for name, s := range map[string]*stored[*validatingConfig]{
		"not read": {unready: errors.New("etcd")}, "not decoded": {broken: errors.New("bytes")},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := webhook.NewValidating(config(t, world{}), s)
			if err != nil {
				t.Fatal(err)
			}
			a := create(t)
			if got := text(t, v.Validate(t.Context(), a.Attributes)); got != `403 Forbidden configmaps "c" is forbidden: not yet ready to handle request` {
				t.Error(got)
			}
			a.Kind.Group, a.Resource.Group = "admissionregistration.k8s.io", "admissionregistration.k8s.io"
			if err := v.Validate(t.Context(), a.Attributes); err != nil {
				t.Errorf("its own objects: %v", err)
			}
			a = create(t)
			a.Permit = authz.System("test", a.Permit.Info())
			if err := v.Validate(t.Context(), a.Attributes); err != nil {
				t.Errorf("the server's own: %v", err)
			}
		})
	}
}
