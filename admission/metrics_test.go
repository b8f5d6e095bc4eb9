package admission_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse/gatehouse/admission"
)

// deny refuses everything.
type deny struct{}

func (deny) Mutate(context.Context, *admission.Attributes) error   { return nil }
func (deny) Validate(context.Context, *admission.Attributes) error { return errors.New("no") }

// series returns what was counted as "name{labels}" and how often.
func series(t *testing.T, m *admission.Metrics) map[string]uint64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(m); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]uint64{}
	for _, f := range families {
		for _, one := range f.GetMetric() {
			var labels []string
			for _, l := range one.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			found[f.GetName()+"{"+strings.Join(labels, ",")+"}"] = one.GetHistogram().GetSampleCount() + uint64(one.GetCounter().GetValue())
		}
	}
	return found
}

// TestMetrics guards the names and labels that dashboards ask for.
func TestMetrics(t *testing.T) {
	m := admission.NewMetrics()
	chain := &admission.Chain{
		Mutators: []admission.Mutator{deny{}}, Validators: []admission.Validator{deny{}}, MutatorNames: []string{"Deny"}, ValidatorNames: []string{"Deny"}, Metrics: m,
	}
	a := podAttributes(t, "default")
	a.Operation = admission.Create
	if err := chain.Mutate(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if chain.Validate(t.Context(), a) == nil {
		t.Fatal("nothing was refused")
	}
	m.Webhook(admission.WebhookCall{Name: "a.b.c", Mutating: true, Operation: admission.Update, Code: 200})
	m.Webhook(admission.WebhookCall{Name: "a.b.c", Operation: admission.Update, Code: 777, Rejected: true, Failure: "no_error"})
	m.Webhook(admission.WebhookCall{Name: "a.b.c", Operation: admission.Update, Code: 500, Failure: "calling_webhook_error", FailedOpen: true})
	got := series(t, m)
	for want, n := range map[string]uint64{
		"apiserver_admission_step_admission_duration_seconds{operation=CREATE,rejected=false,type=admit}":                                 1,
		"apiserver_admission_step_admission_duration_seconds{operation=CREATE,rejected=true,type=validate}":                               1,
		"apiserver_admission_controller_admission_duration_seconds{name=Deny,operation=CREATE,rejected=true,type=validate}":               1,
		"apiserver_admission_webhook_admission_duration_seconds{name=a.b.c,operation=UPDATE,rejected=false,type=admit}":                   1,
		"apiserver_admission_webhook_request_total{code=600,name=a.b.c,operation=UPDATE,rejected=true,type=validating}":                   1,
		"apiserver_admission_webhook_rejection_count{error_type=no_error,name=a.b.c,operation=UPDATE,rejection_code=600,type=validating}": 1,
		"apiserver_admission_webhook_fail_open_count{name=a.b.c,type=validating}":                                                         1,
	} {
		if got[want] != n {
			t.Errorf("%s is %d, want %d", want, got[want], n)
		}
	}
}

// TestMetricsAreBounded guards the memory that names of webhooks take.
func TestMetricsAreBounded(t *testing.T) {
	m := admission.NewMetrics()
	for i := range admission.MaxWebhookNames + 2 {
		m.Webhook(admission.WebhookCall{Name: strconv.Itoa(i), Operation: admission.Create, Code: 200})
	}
	if got := series(t, m)["apiserver_admission_webhook_request_total{code=200,name=other,operation=CREATE,rejected=false,type=validating}"]; got != 2 {
		t.Errorf("%d calls of others, want 2", got)
	}
}
