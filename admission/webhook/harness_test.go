package webhook_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	"go.uber.org/goleak"
	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gatehouse/gatehouse/admission"
	"github.com/gatehouse/gatehouse/admission/webhook"
	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
	client "github.com/gatehouse/gatehouse/internal/webhook"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type (
	mutatingConfig   = admissionregistrationv1.MutatingWebhookConfiguration
	validatingConfig = admissionregistrationv1.ValidatingWebhookConfiguration
)

// stored is a source whose version is a number.
type stored[C any] struct {
	version         int
	list            []C
	unready, broken error
}

func (s *stored[C]) Version() (any, error)        { return s.version, s.unready }
func (s *stored[C]) Configurations() ([]C, error) { return s.list, s.broken }

// world is the server around the webhooks; services are all at one address.
type world struct{ service string }

func (world) Convert(o runtime.Object, to schema.GroupVersionKind) (runtime.Object, error) {
	return nil, fmt.Errorf("cannot convert %T to %v", o, to)
}

func (world) Default(_ schema.GroupVersionKind, o runtime.Object) {
	if c := o.(*corev1.ConfigMap); c.Labels["defaulted"] == "" {
		metav1.SetMetaDataLabel(&c.ObjectMeta, "defaulted", "yes")
	}
}

func (w world) DialService(ctx context.Context, _, name string, _ int32) (net.Conn, error) {
	if w.service == "" {
		return nil, fmt.Errorf("service %q not found", name)
	}
	return new(net.Dialer).DialContext(ctx, "tcp", w.service)
}

// everything is a matcher of all requests, or of none where a rule says so.
type everything struct {
	about *admissionregistrationv1.MatchResources
}

func (e everything) Match(_ context.Context, a *admission.Attributes) (schema.GroupVersionResource, schema.GroupVersionKind, bool, error) {
	return a.Resource, a.Kind, len(e.about.ResourceRules) > 0, nil
}

// server is a webhook server: each path is one webhook.
type server struct {
	*httptest.Server
	mu    sync.Mutex
	asked []string                        // paths in order
	seen  []*admissionv1.AdmissionRequest // what was asked
}

type answer func(w http.ResponseWriter, r *http.Request, q *admissionv1.AdmissionRequest)

// serve answers as the path says.
func serve(t *testing.T, answers map[string]answer) *server {
	t.Helper()
	s := &server{}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		review := &admissionv1.AdmissionReview{}
		if err := json.NewDecoder(r.Body).Decode(review); err != nil || review.Request == nil {
			t.Errorf("%s: not a review: %v", r.URL, err)
			return
		}
		s.mu.Lock()
		s.asked, s.seen = append(s.asked, r.URL.Path), append(s.seen, review.Request)
		s.mu.Unlock()
		answers[r.URL.Path](w, r, review.Request)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func (s *server) paths() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

// says answers with a response, to which the UID is added.
func says(response admissionv1.AdmissionResponse) answer {
	return func(w http.ResponseWriter, _ *http.Request, q *admissionv1.AdmissionRequest) {
		response.UID = q.UID
		write(w, &response)
	}
}

func write(w http.ResponseWriter, r *admissionv1.AdmissionResponse) {
	_ = json.NewEncoder(w).Encode(admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"}, Response: r,
	})
}

// patches allows with a JSON patch.
func patches(patch string) answer {
	kind := admissionv1.PatchTypeJSONPatch
	return says(admissionv1.AdmissionResponse{Allowed: true, Patch: []byte(patch), PatchType: &kind})
}

func allows() answer { return says(admissionv1.AdmissionResponse{Allowed: true}) }

// hook is a webhook at a path of the server, as defaults make it.
func (s *server) hook(path string, change func(*admissionregistrationv1.MutatingWebhook)) admissionregistrationv1.MutatingWebhook {
	at, none, seconds := s.URL+path, admissionregistrationv1.SideEffectClassNone, int32(10)
	h := admissionregistrationv1.MutatingWebhook{
		Name: path[1:] + ".example.org", SideEffects: &none, TimeoutSeconds: &seconds, AdmissionReviewVersions: []string{"v1"},
		ClientConfig: admissionregistrationv1.WebhookClientConfig{URL: &at, CABundle: s.authority()}, Rules: make([]admissionregistrationv1.RuleWithOperations, 1),
	}
	if change != nil {
		change(&h)
	}
	return h
}

func (s *server) authority() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}

func ignore(h *admissionregistrationv1.MutatingWebhook) {
	p := admissionregistrationv1.Ignore
	h.FailurePolicy = &p
}

func config(t *testing.T, w world) webhook.Config {
	t.Helper()
	pool := client.NewPool()
	t.Cleanup(func() { _ = pool.Close() })
	return webhook.Config{
		Kinds: w, Services: w, Pool: pool,
		Matching: func(about *admissionregistrationv1.MatchResources, _ []admissionregistrationv1.MatchCondition, _ bool) webhook.Matcher {
			return everything{about}
		},
	}
}

func mutatingOf(name string, hooks ...admissionregistrationv1.MutatingWebhook) *mutatingConfig {
	return &mutatingConfig{ObjectMeta: metav1.ObjectMeta{Name: name}, Webhooks: hooks}
}

func newMutating(t *testing.T, list ...*mutatingConfig) *webhook.Mutating {
	t.Helper()
	m, err := webhook.NewMutating(config(t, world{}), &stored[*mutatingConfig]{list: list})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func validatingOf(h admissionregistrationv1.MutatingWebhook) admissionregistrationv1.ValidatingWebhook {
	return admissionregistrationv1.ValidatingWebhook{
		Name: h.Name, ClientConfig: h.ClientConfig, Rules: h.Rules, FailurePolicy: h.FailurePolicy, SideEffects: h.SideEffects,
		TimeoutSeconds: h.TimeoutSeconds, AdmissionReviewVersions: h.AdmissionReviewVersions,
	}
}

func newValidating(t *testing.T, w world, hooks ...admissionregistrationv1.MutatingWebhook) *webhook.Validating {
	t.Helper()
	c := &validatingConfig{ObjectMeta: metav1.ObjectMeta{Name: "c"}}
	for _, h := range hooks {
		c.Webhooks = append(c.Webhooks, validatingOf(h))
	}
	v, err := webhook.NewValidating(config(t, w), &stored[*validatingConfig]{list: []*validatingConfig{c}})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// noted is attributes together with what is annotated.
type noted struct {
	*admission.Attributes
	annotations map[string]string
}

// create is the create of a config map by alice.
func create(t *testing.T) *noted {
	t.Helper()
	info := api.RequestInfo{IsResource: true, Verb: "create", Version: "v1", Resource: "configmaps", Namespace: "ns"}
	p, err := authz.Chain{}.Permit(t.Context(), api.User{Name: "alice", Groups: []string{api.GroupMasters}}, info)
	if err != nil {
		t.Fatal(err)
	}
	n := &noted{annotations: map[string]string{}}
	n.Attributes = &admission.Attributes{
		Permit: p, Operation: admission.Create, Kind: corev1.SchemeGroupVersion.WithKind("ConfigMap"), Resource: corev1.SchemeGroupVersion.WithResource("configmaps"),
		Namespace: "ns", Name: "c", Object: &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "c", Namespace: "ns"}, Data: map[string]string{"a": "b"}},
		Warnings: &api.Warnings{}, Annotate: func(key, value string) { n.annotations[key] = value },
	}
	return n
}

// text is the code, reason and message of a refusal, "" for none.
func text(t *testing.T, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	var e *api.Error
	if !errors.As(err, &e) {
		t.Fatalf("%T is not an *api.Error: %v", err, err)
	}
	return fmt.Sprintf("%d %s %s", e.Code(), e.Reason(), e.Status.Message)
}
